//! Why something happened: one stable code each, with a sentence for people and what to do about it.
//!
//! Pure. Codes go into state, log and command line; a code never says which agency knows a child to anyone but the operator.

use crate::referral::codes;

codes! {
    /// Why a delivery stands where it stands, or why a person is asked to look.
    Reason {
        // The message is wrong for good (flow 1: told to DTP).
        /// Required fields are missing.
        MissingFields = "missing_fields",
        /// Fields hold values that cannot be used.
        InvalidValues = "invalid_values",
        /// The service type is not on the agreed list.
        ServiceTypeNotAgreed = "service_type_not_agreed",
        /// The rows of one intervention contradict each other.
        RowsContradict = "rows_contradict",
        /// Primero refused values.
        ValuesRefused = "values_refused",
        /// Not delivered in the agreed time.
        NotDeliveredInTime = "not_delivered_in_time",
        /// Stopped by the CPIMS+ focal point.
        StoppedByFocalPoint = "stopped_by_focal_point",
        /// Could not be matched safely: the neutral text for everything held and for a case that is closed.
        NotMatchedSafely = "not_matched_safely",
        /// DTP refused the message.
        RefusedByDtp = "refused_by_dtp",

        // A person must decide.
        /// Several cases carry the number, or two identifiers name different cases.
        Several = "several",
        /// The case found carries another number than the one given.
        IdentifiersDiffer = "identifiers_differ",
        /// A number equal but for case and blanks exists.
        SimilarNumber = "similar_number",
        /// Sex, year of birth or name contradict.
        IdentityDiffers = "identity_differs",
        /// The case is not open.
        CaseNotOpen = "case_not_open",
        /// The case exists, but not for us.
        CaseOutOfReach = "case_out_of_reach",
        /// Primero refuses us this one case or referral.
        OutOfScope = "out_of_scope",
        /// What stands in Primero could not be made sure.
        Unconfirmed = "unconfirmed",
        /// The referral was made by exception, without consent.
        ConsentException = "consent_exception",
        /// A restriction is recorded on the case.
        RestrictionRecorded = "restriction_recorded",
        /// A decision code that is not in the table.
        UnknownDecisionCode = "unknown_decision_code",
        /// No such case or referral.
        NoSuchReferral = "no_such_referral",
        /// Several services or cases fit.
        SeveralReferralsFit = "several_referrals_fit",
        /// Two referrals were sent under this id, and the review date does not tell which is meant.
        SentTwiceUnderThisId = "sent_twice_under_this_id",
        /// Primero refused the decision.
        DecisionRefused = "decision_refused",
        /// Primero refused a value that comes out of one of our tables.
        TableValueRefused = "table_value_refused",

        // We are wrong: the addressee stops.
        /// 401: user name, password or subscription key.
        Unauthorized = "unauthorized",
        /// 403 on everything.
        Forbidden = "forbidden",
        /// The client certificate was refused, or TLS failed for good.
        CertificateRefused = "certificate_refused",
        /// The client certificate has expired.
        CertificateExpired = "certificate_expired",
        /// Primero did not honour a filter.
        FilterIgnored = "filter_ignored",
        /// Primero dropped fields that we wrote.
        FieldsNotWritable = "fields_not_writable",
        /// The URL does not exist or does not take our method.
        WrongUrl = "wrong_url",
        /// Primero refused a constant or a configured value of ours.
        ConstantRefused = "constant_refused",

        // They are unwell: later.
        /// No connection.
        Unreachable = "unreachable",
        /// No answer in time.
        TimedOut = "timed_out",
        /// The connection was cut.
        ConnectionLost = "connection_lost",
        /// 408, 425, 429.
        Throttled = "throttled",
        /// 500 and the like.
        ServerError = "server_error",
        /// 502, 503, 504.
        GatewayError = "gateway_error",
        /// An answer that is not what was promised: HTML, empty, cut, too large.
        NotAsPromised = "not_as_promised",
        /// The case changed under our hands; it is matched again.
        CaseChanged = "case_changed",

        // A referral may not leave.
        /// Consent is not given (one code, whatever the cause).
        ConsentMissing = "consent_missing",
        /// The service's implementing agency is not on the list.
        ImplementingAgencyNotListed = "implementing_agency_not_listed",
        /// The recipient is not on the list.
        RecipientNotListed = "recipient_not_listed",
        /// The owning agency is not on the list.
        AgencyNotSigned = "agency_not_signed",
        /// The service type is not on the list.
        ServiceTypeNotListed = "service_type_not_listed",
        /// The module is not on the list.
        ModuleNotListed = "module_not_listed",
        /// The referral is no longer in progress.
        NotInProgress = "not_in_progress",
        /// The referral names no service of the case.
        ServiceNotNamed = "service_not_named",
        /// The referral was made before the first day.
        BeforeStart = "before_start",
        /// The agreement is not valid.
        AgreementNotValid = "agreement_not_valid",
        /// The referral cannot be mapped.
        CannotBeMapped = "cannot_be_mapped",

        // Given up.
        /// A person withdrew it.
        Withdrawn = "withdrawn",
        /// It was sent in another way.
        SentOtherwise = "sent_otherwise",
        /// It was made in error.
        Error = "error",
        /// Its content was erased after seven days.
        Expired = "expired",
        /// It was not sent in the agreed time.
        NotSentInTime = "not_sent_in_time",
        /// Its sealed content is not there.
        ParcelMissing = "parcel_missing",
        /// Its sealed content was erased by a person, with that of all others.
        ContentErased = "content_erased",

        // Nothing left to do.
        /// DTP has this status already.
        AlreadyReported = "already_reported",
        /// It is no longer a decision.
        NoLongerADecision = "no_longer_a_decision",
        /// Somebody decided, or revoked, before.
        DecidedBefore = "decided_before",
        /// The case asks nothing of us.
        NothingToDo = "nothing_to_do",
        /// A newer message took its place.
        Replaced = "replaced",

        // What a person should know.
        /// A delivered number came again with other content.
        ChangedAfterDelivery = "changed_after_delivery",
        /// A delivered number came again for another person.
        NumberAlreadyDelivered = "number_already_delivered",
        /// A number stands on several services or cases, or a referral was decided twice.
        Conflict = "conflict",
        /// Staff changed what we wrote, or an identity value differs.
        Differs = "differs",
        /// Fields did not stick.
        NotStored = "not_stored",
        /// Items of a post were not usable.
        NotTaken = "not_taken",
        /// Posts were refused.
        InboxRefused = "inbox_refused",
        /// Unsettled for too long.
        Late = "late",
        /// Nothing was taken or told in a flow for too long.
        Silent = "silent",
        /// No decision on an intervention that we delivered was ever reported.
        DecisionNotReported = "decision_not_reported",
        /// DTP never told a decision on a referral that it took.
        DecisionNotTold = "decision_not_told",
        /// A service is marked as referred, and there is no referral.
        ServiceNotReferred = "service_not_referred",
        /// A service for UNHCR was saved, and there is no referral.
        ServiceWithoutReferral = "service_without_referral",
        /// There is too little room on the disk.
        DiskNearlyFull = "disk_nearly_full",
        /// UNHCR withdrew a request that is, or may be, in Primero.
        WithdrawnByUnhcr = "withdrawn_by_unhcr",

        // Withdrawal after sending.
        /// The referral was revoked.
        ReferralRevoked = "referral_revoked",
        /// Consent was withdrawn.
        ConsentWithdrawn = "consent_withdrawn",
        /// The case was disabled.
        CaseDisabled = "case_disabled",
        /// The case went out of our sight.
        OutOfSight = "out_of_sight",
    }
}
