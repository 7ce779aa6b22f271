//! Checks a call's arguments against its tool's schema.
//!
//! Not here: JSON Schema as a whole. This knows the few words that our own schemas use: required,
//! type, minimum, maximum, additionalProperties.

use serde_json::{Map, Value};

/// What is wrong with the arguments, in one sentence, if anything.
pub(super) fn check(schema: &Value, arguments: &Map<String, Value>) -> Result<(), String> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if !arguments.contains_key(name) {
            return Err(format!("the argument {name:?} is missing"));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in arguments {
        match properties.and_then(|properties| properties.get(name)) {
            Some(property) => check_value(name, property, value)?,
            None => return Err(format!("there is no argument {name:?}; {}", known(properties))),
        }
    }
    Ok(())
}

fn known(properties: Option<&Map<String, Value>>) -> String {
    let names: Vec<&str> =
        properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    format!("the arguments are {}", names.join(", "))
}

fn check_value(name: &str, property: &Value, value: &Value) -> Result<(), String> {
    let expected = property.get("type").and_then(Value::as_str).unwrap_or_default();
    let fits = match expected {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => true,
    };
    if !fits {
        return Err(format!("the argument {name:?} must be of type {expected}"));
    }
    let bound = |word: &str| property.get(word).and_then(Value::as_i64);
    match (value.as_i64(), bound("minimum"), bound("maximum")) {
        (Some(number), Some(min), _) if number < min => {
            Err(format!("the argument {name:?} must be at least {min}"))
        }
        (Some(number), _, Some(max)) if number > max => {
            Err(format!("the argument {name:?} must be at most {max}"))
        }
        _ => Ok(()),
    }
}
