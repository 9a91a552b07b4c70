//! A post, cut while it is read: what nobody reads is never built.
//!
//! It refuses what JSON parsers disagree about (a key twice in one object) and what is nested too deep.
//! It knows the outline of the envelope and no meaning of any value.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// The deepest nesting that is read; the envelope itself is the first level.
const DEEPEST: u32 = 32;

/// Not JSON that we read. What was wrong with it is not said: it would quote the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotJson;

/// Whether a key of an item is read.
pub(super) type Reads<'a> = &'a dyn Fn(&str) -> bool;

/// Reads a post. Of the envelope stay `request_type` and `interventions`, of an item the keys that are read, of a reference its `Name`.
pub(super) fn read(bytes: &[u8], reads: Reads<'_>) -> Result<Value, NotJson> {
    let text = std::str::from_utf8(bytes).map_err(|_| NotJson)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Part { level: 1, keep: Keep::Envelope(reads) }.deserialize(&mut deserializer).map_err(|_| NotJson)?;
    deserializer.end().map_err(|_| NotJson)?;
    Ok(value)
}

/// What stays of a part of a post.
#[derive(Clone, Copy)]
enum Keep<'a> {
    /// The whole post.
    Envelope(Reads<'a>),
    /// `interventions`
    Items(Reads<'a>),
    /// One of them.
    Item(Reads<'a>),
    /// The value of a key that is read. Objects are references there; only their `Name` is read.
    ItemValue,
    /// Everything.
    All,
    /// Its shape only: an object, a list or something else.
    Nothing,
}

impl<'a> Keep<'a> {
    /// What stays of the value of a key; `None`: not even the key.
    fn value(self, key: &str) -> Option<Keep<'a>> {
        match self {
            Self::Envelope(reads) => match key {
                "request_type" => Some(Self::All),
                "interventions" => Some(Self::Items(reads)),
                _ => None,
            },
            Self::Item(reads) => reads(key).then_some(Self::ItemValue),
            Self::ItemValue => (key == "Name").then_some(Self::All),
            Self::All => Some(Self::All),
            Self::Items(_) | Self::Nothing => None,
        }
    }

    /// What stays of the elements of a list; `None`: nothing.
    const fn element(self) -> Option<Keep<'a>> {
        match self {
            Self::Items(reads) => Some(Self::Item(reads)),
            Self::ItemValue => Some(Self::ItemValue),
            Self::All => Some(Self::All),
            Self::Envelope(_) | Self::Item(_) | Self::Nothing => None,
        }
    }
}

#[derive(Clone, Copy)]
struct Part<'a> {
    level: u32,
    keep: Keep<'a>,
}

impl<'a> Part<'a> {
    fn within<E: Error>(self) -> Result<Self, E> {
        if self.level > DEEPEST { Err(E::custom("nested too deep")) } else { Ok(self) }
    }

    const fn below(self, keep: Option<Keep<'a>>) -> Self {
        let keep = match keep {
            Some(keep) => keep,
            None => Keep::Nothing,
        };
        Self { level: self.level + 1, keep }
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(if matches!(self.keep, Keep::Nothing) { Value::Null } else { value.into() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let part = self.within()?;
        let keep = part.keep.element();
        let mut kept = Vec::new();
        while let Some(value) = list.next_element_seed(part.below(keep))? {
            if keep.is_some() {
                kept.push(value);
            }
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let part = self.within()?;
        // A key is kept or not whatever its value, so a key that is there twice is twice in the same of these two.
        let mut kept = Map::new();
        let mut dropped = Dropped::default();
        while let Some(key) = object.next_key_seed(Key)? {
            let keep = part.keep.value(&key);
            let value = object.next_value_seed(part.below(keep))?;
            let is_new = if keep.is_some() { kept.insert(key.into_owned(), value).is_none() } else { dropped.is_new(key) };
            if !is_new {
                return Err(A::Error::custom("a key twice"));
            }
        }
        Ok(Value::Object(kept))
    }
}

/// The keys of one object that were dropped. Most objects have few, for which comparing is quicker than hashing.
#[derive(Default)]
struct Dropped<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Dropped<'de> {
    const FEW: usize = 16;

    fn is_new(&mut self, key: Cow<'de, str>) -> bool {
        if self.many.is_empty() && self.few.len() < Self::FEW {
            let is_new = !self.few.contains(&key);
            self.few.push(key);
            is_new
        } else {
            self.many.extend(self.few.drain(..));
            self.many.insert(key)
        }
    }
}

/// A key, borrowed from the post where it can be.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_text(text: &str) -> Result<Value, NotJson> {
        read(text.as_bytes(), &|key| ["number", "a.b", "ref", "list"].contains(&key))
    }

    #[test]
    fn only_what_is_read_is_built() {
        let post = r#"{"request_type":"x","__query_params":{"a":1},"interventions":[
            {"number":"1","a.b":2,"other":{"deep":["Marker"]},"ref":{"Id":"7","Name":"N","KeyAttributes":[]},"list":[{"Name":"M","Id":1},3]},
            7, "Marker", null, ["Marker"]]}"#;
        let kept = json!({"request_type": "x", "interventions": [
            {"number": "1", "a.b": 2, "ref": {"Name": "N"}, "list": [{"Name": "M"}, 3]}, 7, "Marker", null, []]});
        assert_eq!(read_text(post), Ok(kept));
    }

    /// An object with that many keys nobody reads, and one more.
    fn many_keys(count: u32, one_more: u32) -> String {
        let keys: Vec<String> = (0..count).chain([one_more]).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    }

    #[test]
    fn what_parsers_disagree_about_is_not_json_to_us() {
        let nested = |levels: usize| format!(r#"{{"other":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
        for (text, good) in [
            ("{}".to_owned(), true),
            (" [1, 2.5, -3, true, null, \"x\"] ".to_owned(), true),
            ("7".to_owned(), true),
            (nested(32), true),
            (nested(33), false),
            (nested(100_000), false),
            (r#"{"interventions":[],"interventions":[]}"#.to_owned(), false),
            (r#"{"other":{"x":1,"y":[{"z":1,"z":2}]}}"#.to_owned(), false),
            (r#"{"a":1,"\u0061":2}"#.to_owned(), false),
            (r#"{"interventions":[{"ref":{"Id":1,"Id":2}}]}"#.to_owned(), false),
            (many_keys(40, 40), true),
            (many_keys(40, 39), false),
            (many_keys(40, 3), false),
            (many_keys(10, 3), false),
            ("{} {}".to_owned(), false),
            ("{\"a\":1".to_owned(), false),
            ("{\"a\":1,}".to_owned(), false),
            ("{\"a\":\"\\ud800\"}".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(read_text(&text).is_ok(), good, "{:.60}", text);
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}", &|_| true), Err(NotJson));
        assert_eq!(read(b"\xff", &|_| true), Err(NotJson));
    }
}
