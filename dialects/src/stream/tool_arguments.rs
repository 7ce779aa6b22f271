//! Turns the text that a model streamed as a tool call's arguments into arguments.

use serde_json::{Map, Value};

use crate::conversation::ToolArguments;

/// Reads streamed arguments. Models write nothing, or `null`, for a tool without arguments; that is
/// an empty object, unless the answer was `cut`, for then nothing means not yet.
pub(super) fn read(text: String, cut: bool) -> ToolArguments {
    if text.trim().is_empty() && !cut {
        return ToolArguments::Object(Map::new());
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => ToolArguments::Object(map),
        Ok(Value::Null) => ToolArguments::Object(Map::new()),
        Ok(_) | Err(_) => ToolArguments::Malformed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_is_arguments() {
        let object = |text: &str| matches!(read(text.into(), false), ToolArguments::Object(_));
        assert!(
            object("") && object(" \n") && object("null") && object("{}") && object("{\"a\":1}")
        );
        for text in ["{", "[]", "3", "\"{}\"", "{\"a\":1}}", "{'a':1}"] {
            assert_eq!(read(text.into(), false), ToolArguments::Malformed(text.into()));
        }
    }

    #[test]
    fn what_was_cut_before_it_began_is_not_an_empty_object() {
        assert_eq!(read(String::new(), true), ToolArguments::Malformed(String::new()));
        assert_eq!(read("{}".into(), true), ToolArguments::Object(Map::new()));
    }
}
