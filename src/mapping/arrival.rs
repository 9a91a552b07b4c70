//! What must be known of an intervention when it arrives, before anything of it is mapped.
//!
//! Nothing here fails: whoever maps the rows later finds every gap.

use serde_json::Value;
use uuid::Uuid;

use super::{
    Document, Mapping,
    evaluate::Sources,
    rules::{Message, Source},
};
use crate::{personal::Personal, referral::CaseId};

/// The case module where a mapping names none.
const CHILD_PROTECTION: &str = "primeromodule-cp";

impl Mapping {
    /// The module in which this programme's cases live.
    #[must_use]
    pub fn module(&self) -> &str {
        let row = self.rules(Message::Case).rows.iter().find(|row| row.target == "module_id");
        match row.map(|row| &row.source) {
            Some(Source::Constant(Value::String(module))) => module,
            _ => CHILD_PROTECTION,
        }
    }

    /// The person whom the rows name, if they can be read that far.
    #[must_use]
    pub fn person_number(&self, rows: &[Document]) -> Option<Personal<String>> {
        let row = self.rules(Message::Case).rows.iter().find(|row| row.target == self.identity.person_number)?;
        let sources = Sources { rows, ..Sources::default() };
        let number = sources.value(row, Message::Case, &mut Vec::new())?;
        number.as_str().map(|number| Personal::new(number.to_owned()))
    }

    /// The case that DTP believes it is, if it named one by a UUID. Anything else that somebody may have typed there
    /// stays in the parcel: it might be a name.
    #[must_use]
    pub fn named_case(&self, rows: &[Document]) -> Option<CaseId> {
        let given = self.given_case_id(rows, &mut Vec::new())?;
        Uuid::try_parse(&given).ok()?;
        given.parse().ok()
    }
}
