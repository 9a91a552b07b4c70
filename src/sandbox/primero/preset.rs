//! Invented people and roles for an instance: the account of the bridge, the intake user, case workers, UNHCR's account.
//!
//! It knows no case.

use super::{
    CHILD_PROTECTION, SimulatedPrimero,
    accounts::{FormAccess, Role, Scope, User},
    catalog::FORMS,
};

/// The account that a bridge signs in with.
pub const BRIDGE: &str = "bridge";
/// Its password.
pub const BRIDGE_PASSWORD: &str = "sandbox-password";
/// Its role.
pub const BRIDGE_ROLE: &str = "role-bridge";
/// The user to whom new cases from UNHCR go.
pub const INTAKE: &str = "intake";
/// A case worker with e-mail, phone and position.
pub const CASE_WORKER: &str = "caseworker_testina";
/// A case worker without any contact.
pub const OTHER_CASE_WORKER: &str = "caseworker_testus";
/// UNHCR's account, to which case workers refer.
pub const UNHCR: &str = "unhcr_cw@cpims-gambella.primero.org";

const CASE_WORKER_ROLE: &str = "role-cp-case-worker";
const UNHCR_ROLE: &str = "role-unhcr";
const GROUP: &str = "usergroup-gambella";

impl SimulatedPrimero {
    /// Adds the account of the bridge with no more than it needs, the intake user, two case workers, UNHCR's account and both agencies.
    #[must_use]
    pub fn with_bridge_account(self) -> Self {
        self.put_agency("UNICEF", "UNICEF");
        self.put_agency("UNHCR", "UNHCR");
        let all_forms = |role: Role| FORMS.into_iter().fold(role, |role, form| role.form(form, FormAccess::ReadWrite));
        let bridge = Role::new(BRIDGE_ROLE, Scope::All)
            .may("case", &["read", "create", "write", "receive_referral"])
            .may("user", &["read"])
            .module(CHILD_PROTECTION)
            .form("basic_identity", FormAccess::ReadWrite)
            .form("other_identity_details", FormAccess::ReadWrite)
            .form("services", FormAccess::ReadWrite)
            .form("consent", FormAccess::Read);
        let case_worker = Role::new(CASE_WORKER_ROLE, Scope::Group)
            .may(
                "case",
                &["read", "create", "write", "referral", "referral_from_service", "receive_referral", "consent_override"],
            )
            .module(CHILD_PROTECTION);
        let unhcr = Role::new(UNHCR_ROLE, Scope::Own).may("case", &["read", "receive_referral"]).module(CHILD_PROTECTION);
        for role in [bridge, all_forms(case_worker), all_forms(unhcr)] {
            self.put_role(role);
        }
        let worker = |user_name: &str| User::new(user_name, CASE_WORKER_ROLE).agency("UNICEF").group(GROUP);
        for user in [
            User::new(BRIDGE, BRIDGE_ROLE).password(BRIDGE_PASSWORD).agency("UNICEF").full_name("Bridge"),
            worker(INTAKE).full_name("Intake Examplename").email("intake@example.org"),
            worker(CASE_WORKER)
                .full_name("Testina Caseworker")
                .email("testina.caseworker@example.org")
                .phone("+251000000001")
                .position("Case worker"),
            worker(OTHER_CASE_WORKER).full_name("Testus Caseworker"),
            User::new(UNHCR, UNHCR_ROLE).agency("UNHCR").full_name("UNHCR Examplename"),
        ] {
            self.put_user(user);
        }
        self
    }

    /// Adds a user to whom new cases go, unless there is one of this name.
    pub fn add_intake_user(&self, user_name: &str, agency: &str) {
        if user_name != INTAKE {
            self.put_user(User::new(user_name, CASE_WORKER_ROLE).agency(agency).group(GROUP).full_name("Intake Examplename"));
        }
    }

    /// Adds an account of UNHCR, to which case workers refer, unless it is the one that is there.
    pub fn add_recipient(&self, user_name: &str) {
        if user_name != UNHCR {
            self.put_user(User::new(user_name, UNHCR_ROLE).agency("UNHCR").full_name("UNHCR Examplename"));
        }
    }
}
