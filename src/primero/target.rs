//! What stands in the request line: path and query, short enough for the strictest proxy.
//!
//! It knows no request and no answer.

/// The longest request line that every Primero takes, `GET` and `HTTP/1.1` included.
pub(super) const LONGEST_REQUEST_LINE: usize = 1000;

/// Path and query below `/api/v2/`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target(String);

impl Target {
    pub(super) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.encode(name);
        self.0.push('=');
        self.encode(value);
        self
    }

    /// Adds `fields`: each name once.
    pub(super) fn with_fields<'a>(self, fields: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for field in fields {
            if !names.contains(&field) {
                names.push(field);
            }
        }
        self.with("fields", &names.join(","))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Path and query.
    pub(super) fn parts(&self) -> (&str, Option<&str>) {
        self.0.split_once('?').map_or((&self.0, None), |(path, query)| (path, Some(query)))
    }

    /// Commas, colons and slashes may stand in a query as they are; left so, more fields fit into the request line.
    fn encode(&mut self, text: &str) {
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~,:/@".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                self.0.push_str(&format!("%{byte:02X}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_only_where_they_must_be() {
        let target = Target::new("cases")
            .with("last_updated_at", "2026-01-05T10:00:00.123Z..")
            .with("user_name", "a+b&c=d #é\"\\@x.org")
            .with_fields(["id", "case_id", "id"]);
        assert_eq!(
            target.as_str(),
            "cases?last_updated_at=2026-01-05T10:00:00.123Z..&user_name=a%2Bb%26c%3Dd%20%23%C3%A9%22%5C@x.org&fields=id,case_id"
        );
    }
}
