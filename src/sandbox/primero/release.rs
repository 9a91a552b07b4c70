//! Where releases of Primero differ in what a client can notice.
//!
//! It knows only the differences, not how they come about.

/// What the simulated release does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// A page holds at most 1000 rows, whatever is asked.
    pub caps_pages: bool,
    /// `case_id` is unique (409).
    pub unique_case_id: bool,
    /// A filter that makes the database raise gives an empty 200 instead of a 500.
    pub hides_filter_errors: bool,
    /// Values of selects are checked against their options (422).
    pub checks_options: bool,
    /// `receive_referral` suffices for deciding on a referral; before, `write` was required.
    pub decides_without_write: bool,
    /// Deciding also needs read access to the referral's own case, and `remove_assigned_users` suffices too.
    pub reads_before_deciding: bool,
}

impl Release {
    /// The newest known: what stands behind tag 2.15.2.
    pub const NEWEST: Self = Self {
        caps_pages: true,
        unique_case_id: true,
        hides_filter_errors: true,
        checks_options: true,
        decides_without_write: true,
        reads_before_deciding: true,
    };

    /// 2.14: options are not checked.
    pub const V2_14: Self = Self { checks_options: false, reads_before_deciding: false, ..Self::NEWEST };

    /// 2.10.2: pages are not capped, filter errors show.
    pub const V2_10: Self = Self { caps_pages: false, hides_filter_errors: false, ..Self::V2_14 };

    /// 2.5: `case_id` is not unique, deciding needs `write`.
    pub const V2_5: Self = Self { unique_case_id: false, decides_without_write: false, ..Self::V2_10 };
}
