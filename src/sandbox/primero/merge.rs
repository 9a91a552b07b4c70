//! How a body is merged into a record: scalars and multi-selects are replaced, subform items meet by `unique_id`.
//!
//! It knows no field by name but `unique_id` and `_destroy`, and no rule about who may send what.

use serde_json::{Map, Value};

/// Merges an accepted body into a document.
pub(super) fn merge(document: &mut Map<String, Value>, sent: Map<String, Value>) {
    for (name, value) in sent {
        match (document.get_mut(&name), value) {
            (Some(Value::Array(stored)), Value::Array(items)) if holds_items(stored) || holds_items(&items) => {
                merge_items(stored, items);
            }
            // An empty list clears a multi-select, but no subform; which of the two an empty stored list is, cannot matter.
            (_, value) => {
                document.insert(name, value);
            }
        }
    }
}

fn holds_items(list: &[Value]) -> bool {
    list.iter().any(Value::is_object)
}

fn merge_items(stored: &mut Vec<Value>, items: Vec<Value>) {
    // Only what was there before is met: the same new id twice in one body is appended twice.
    let before = stored.len();
    let mut removed = Vec::new();
    for item in items {
        let Value::Object(item) = item else { continue };
        let id = item.get("unique_id").and_then(Value::as_str);
        let place = id.and_then(|id| stored[..before].iter().position(|known| known["unique_id"] == id));
        let destroy = item.get("_destroy") == Some(&Value::Bool(true));
        match (place, destroy) {
            (Some(place), true) => removed.push(place),
            (None, true) => {}
            (Some(place), false) => {
                if let Value::Object(known) = &mut stored[place] {
                    known.extend(without_mark(item));
                }
            }
            (None, false) => stored.push(Value::Object(without_mark(item))),
        }
    }
    let mut place = 0;
    stored.retain(|_| {
        place += 1;
        !removed.contains(&(place - 1))
    });
}

fn without_mark(mut item: Map<String, Value>) -> Map<String, Value> {
    item.remove("_destroy");
    item
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(before: Value, sent: Value, after: Value) {
        let (Value::Object(mut document), Value::Object(sent)) = (before, sent) else { panic!("objects") };
        merge(&mut document, sent);
        assert_eq!(Value::Object(document), after);
    }

    #[test]
    fn scalars_and_multi_selects_are_replaced_and_absent_keys_stay() {
        check(json!({"a": 1, "b": 2}), json!({"a": null}), json!({"a": null, "b": 2}));
        check(json!({"m": ["a", "b"]}), json!({"m": ["c"]}), json!({"m": ["c"]}));
        check(json!({"m": ["a", "b"]}), json!({"m": []}), json!({"m": []}));
    }

    #[test]
    fn an_item_that_is_there_is_merged_key_by_key() {
        check(
            json!({"s": [{"unique_id": "1", "a": 1, "b": 2, "c": 3}, {"unique_id": "2"}]}),
            json!({"s": [{"unique_id": "1", "a": 9, "b": null}]}),
            json!({"s": [{"unique_id": "1", "a": 9, "b": null, "c": 3}, {"unique_id": "2"}]}),
        );
    }

    #[test]
    fn a_new_item_is_appended_with_its_own_id_and_twice_if_sent_twice() {
        check(
            json!({"s": [{"unique_id": "1"}]}),
            json!({"s": [{"unique_id": "2"}, {"unique_id": "2"}, {"a": 1}]}),
            json!({"s": [{"unique_id": "1"}, {"unique_id": "2"}, {"unique_id": "2"}, {"a": 1}]}),
        );
    }

    #[test]
    fn an_item_marked_for_destruction_goes_and_an_unknown_one_is_ignored() {
        check(
            json!({"s": [{"unique_id": "1"}, {"unique_id": "2"}]}),
            json!({"s": [{"unique_id": "1", "_destroy": true}, {"unique_id": "3", "_destroy": true}]}),
            json!({"s": [{"unique_id": "2"}]}),
        );
    }

    #[test]
    fn a_subform_is_not_cleared_by_an_empty_list() {
        check(json!({"s": [{"unique_id": "1"}]}), json!({"s": []}), json!({"s": [{"unique_id": "1"}]}));
    }

    #[test]
    fn a_first_list_is_stored_as_sent() {
        check(json!({}), json!({"s": [{"a": 1, "_destroy": true}]}), json!({"s": [{"a": 1, "_destroy": true}]}));
    }
}
