//! The `filters` parameter of listings. Only `label` is known; an unknown filter is refused, since
//! ignoring it would list, and let a caller delete, more than was asked for.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A checked filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    labels: Vec<String>,
}

/// Why a filter was refused.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Not the JSON that Docker takes.
    #[error("invalid filters: not a JSON object of lists")]
    Json(#[from] serde_json::Error),
    /// A filter this engine does not know.
    #[error("invalid filter '{0}': only 'label' is supported")]
    Unknown(String),
}

/// Docker takes a list of values or, from old clients, an object whose keys are the values.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

impl Filter {
    /// Reads the JSON text of the parameter.
    pub fn parse(text: Option<&str>) -> Result<Self, FilterError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::default()) };
        let mut filters: BTreeMap<String, Values> = serde_json::from_str(text)?;
        let labels = match filters.remove("label") {
            None => Vec::new(),
            Some(Values::List(list)) => list,
            Some(Values::Set(set)) => set.into_keys().collect(),
        };
        match filters.into_keys().next() {
            None => Ok(Self { labels }),
            Some(unknown) => Err(FilterError::Unknown(unknown)),
        }
    }

    /// Whether a container with these labels is meant: all of `key` and `key=value` must hold.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(wanted),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_labels_must_hold() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let matches = |text| Filter::parse(Some(text)).unwrap().matches(&labels);
        assert!(matches(r#"{"label":["a=1"]}"#));
        assert!(matches(r#"{"label":{"a":true}}"#));
        assert!(!matches(r#"{"label":["a=1","b"]}"#));
        assert!(!matches(r#"{"label":["a=2"]}"#));
        assert!(matches("{}"));
    }

    #[test]
    fn an_unknown_filter_is_not_ignored() {
        let refused = Filter::parse(Some(r#"{"status":["exited"]}"#));
        assert!(matches!(refused, Err(FilterError::Unknown(name)) if name == "status"));
        assert!(matches!(Filter::parse(Some("[")), Err(FilterError::Json(_))));
    }
}
