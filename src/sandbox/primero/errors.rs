//! The shapes of Primero's errors.
//!
//! It knows no cause, only how each is worded on the wire.

use serde_json::{Value, json};

use crate::sandbox::{
    Endpoint,
    wire::{Asked, Reply},
};

pub(super) const JSON: &str = "application/json; charset=utf-8";

/// A refusal on its way to the wire.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// 401
    Unauthenticated,
    /// 403: permission or scope.
    Forbidden,
    /// 403: the CSRF token is missing or wrong.
    Csrf,
    /// 404: what kind of record, and the id asked for.
    NoRecord(&'static str, String),
    /// 404: no such route, or what the framework refuses before any controller (400).
    Framework(u16),
    /// 409
    Conflict,
    /// 422: pointers into the body.
    Schema(Vec<String>),
    /// 422: fields, each with the message about it.
    Model(Vec<(&'static str, &'static str)>),
    /// 422: a parameter is missing.
    Missing(&'static str),
    /// 429: the login throttle.
    Throttled,
    /// 500
    Raised(&'static str),
    /// 503: a configuration update is in progress.
    Updating,
    /// What a proxy in front answers.
    Proxy(u16),
}

impl Refusal {
    pub(super) fn reply(self, resource: &str) -> Reply {
        let one = |status: u16, detail: Option<Value>, message: Value| {
            let mut error = json!({"status": status, "resource": resource, "message": message});
            if let Some(detail) = detail {
                error["detail"] = detail;
            }
            errors(status, vec![error])
        };
        match self {
            Self::Unauthenticated => Reply::new(
                401,
                "application/json",
                json!({"error": "You need to sign in or sign up before continuing."}).to_string(),
            )
            .with("www-authenticate", r#"Bearer realm="Primero" charset="UTF8""#),
            Self::Forbidden => one(403, None, json!("Forbidden")),
            Self::Csrf => one(403, None, json!("Can't verify CSRF token authenticity.")),
            Self::NoRecord(class, id) => {
                one(404, Some(json!(format!("Couldn't find {class} with 'id'={id}"))), json!("Not Found"))
            }
            Self::Framework(status) => Reply::new(status, "text/html", ""),
            Self::Conflict => one(409, None, json!("Conflict: A record with this id already exists")),
            Self::Schema(pointers) => one(422, Some(json!(pointers)), json!("Invalid Record JSON")),
            Self::Model(fields) => {
                let fields = fields
                    .into_iter()
                    .map(|(field, message)| json!({"status": 422, "resource": resource, "detail": field, "message": [message]}));
                errors(422, fields.collect())
            }
            Self::Missing(name) => one(422, None, json!(format!("param is missing or the value is empty: {name}"))),
            Self::Throttled => Reply::new(429, "text/plain", "Retry later\n"),
            Self::Raised(message) => one(500, None, json!(message)),
            Self::Updating => one(503, None, json!("Service Unavailable")).with("retry-after", "60"),
            Self::Proxy(status) => {
                let page = format!(
                    "<html>\r\n<head><title>{status}</title></head>\r\n<body><center><h1>{status}</h1></center></body></html>"
                );
                Reply::new(status, "text/html", page)
            }
        }
    }
}

/// How a status planted by a test is worded.
pub(super) fn wording(status: u16, asked: &Asked) -> Reply {
    let refusal = match status {
        401 => Refusal::Unauthenticated,
        403 => Refusal::Forbidden,
        // A list is always there; what knows no such list is not Primero.
        404 if names_a_record(asked.endpoint) => Refusal::NoRecord("Child", String::new()),
        404 => Refusal::Framework(404),
        409 => Refusal::Conflict,
        422 => Refusal::Schema(Vec::new()),
        429 => Refusal::Throttled,
        500 => Refusal::Raised("something went wrong"),
        503 => Refusal::Updating,
        400 => Refusal::Framework(400),
        _ => Refusal::Proxy(status),
    };
    refusal.reply(&asked.path)
}

fn names_a_record(endpoint: Endpoint) -> bool {
    use Endpoint as E;
    matches!(
        endpoint,
        E::GetCase
            | E::PatchCase
            | E::DisableCase
            | E::ListReferrals
            | E::CreateReferral
            | E::PatchReferral
            | E::RevokeReferral
            | E::GetUser
    )
}

pub(super) fn ok(body: &Value) -> Reply {
    Reply::new(200, JSON, body.to_string())
}

fn errors(status: u16, errors: Vec<Value>) -> Reply {
    Reply::new(status, JSON, json!({ "errors": errors }).to_string())
}
