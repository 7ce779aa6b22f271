//! What has no place of its own in an answer, inside a thinking block, and back: a reasoning item of
//! `OpenAI` Responses, and the thought signature of a tool call of Gemini.
//!
//! A thinking block has a text and one opaque signature; a reasoning item has an id, encrypted
//! content and a summary in several parts. The text is the parts with [`PART_GAP`] between them; the
//! signature is compact JSON of the rest:
//!
//! ```json
//! {"id":"rs_1","encrypted_content":"gAAA…","parts":[17,42]}
//! ```
//!
//! where `parts` has the length of each part in bytes, so that the parts can be told apart again.
//!
//! A thought signature (<https://ai.google.dev/gemini-api/docs/thought-signatures>) makes a block without
//! text, directly before its call: `{"thought_signature":"…"}`.
//!
//! Invariant: [`unpack`] of what [`pack`] gave is the item that it was given, byte for byte; of
//! anything else, such as another API's signature, it is nothing.

use serde::{Deserialize, Serialize};

/// Between the parts of a summary, in the block's text.
pub(crate) const PART_GAP: &str = "\n\n";

/// What must come back unchanged for the provider to take the reasoning up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reasoning {
    /// The item's id at the provider.
    pub(crate) id: String,
    /// The reasoning itself, for the provider's eyes.
    pub(crate) encrypted_content: String,
    /// The summary; may be empty.
    pub(crate) summary: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    id: String,
    encrypted_content: String,
    parts: Vec<usize>,
}

/// The text and the signature of the thinking block.
pub(crate) fn pack(reasoning: Reasoning) -> Result<(String, String), serde_json::Error> {
    let text = reasoning.summary.join(PART_GAP);
    let signature = Signature {
        id: reasoning.id,
        encrypted_content: reasoning.encrypted_content,
        parts: reasoning.summary.iter().map(String::len).collect(),
    };
    Ok((text, serde_json::to_string(&signature)?))
}

/// The item in a thinking block; `None` for a block that another API made.
pub(crate) fn unpack(text: &str, signature: &str) -> Option<Reasoning> {
    let Signature { id, encrypted_content, parts } = serde_json::from_str(signature).ok()?;
    let mut summary = Vec::new();
    let mut rest = text;
    for (position, bytes) in parts.into_iter().enumerate() {
        if position > 0 {
            rest = rest.strip_prefix(PART_GAP)?;
        }
        let (part, after) = rest.split_at_checked(bytes)?;
        summary.push(part.to_owned());
        rest = after;
    }
    rest.is_empty().then_some(Reasoning { id, encrypted_content, summary })
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallSignature {
    thought_signature: String,
}

/// The signature of the thinking block that stands for a call's thought signature.
pub(crate) fn pack_call(thought_signature: String) -> Result<String, serde_json::Error> {
    serde_json::to_string(&CallSignature { thought_signature })
}

/// The thought signature in a thinking block's signature, if there is one.
pub(crate) fn unpack_call(signature: &str) -> Option<String> {
    let CallSignature { thought_signature } = serde_json::from_str(signature).ok()?;
    Some(thought_signature)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_item_survives_the_block(
            id in ".{0,12}",
            encrypted_content in ".{0,40}",
            summary in proptest::collection::vec("[a\n\"ü]{0,8}", 0..4),
        ) {
            let item = Reasoning { id, encrypted_content, summary };
            let (text, signature) = pack(item.clone()).unwrap();
            prop_assert_eq!(unpack(&text, &signature), Some(item));
        }

        #[test]
        fn a_calls_signature_survives_the_block(signature in ".{0,40}") {
            let packed = pack_call(signature.clone()).unwrap();
            prop_assert_eq!(unpack("", &packed), None);
            prop_assert_eq!(unpack_call(&packed), Some(signature));
        }

        #[test]
        fn nothing_else_is_an_item(text in ".{0,20}", signature in ".{0,20}") {
            prop_assert_eq!(unpack(&text, &signature), None);
            prop_assert_eq!(unpack_call(&signature), None);
        }
    }

    #[test]
    fn a_text_that_was_changed_is_not_replayed() {
        let item = Reasoning {
            id: "rs_1".into(),
            encrypted_content: "gAAA".into(),
            summary: vec!["ü".into(), String::new()],
        };
        let (text, signature) = pack(item).unwrap();
        assert_eq!(signature, r#"{"id":"rs_1","encrypted_content":"gAAA","parts":[2,0]}"#);
        assert_eq!(text, "ü\n\n");
        for changed in ["", "ü", "u\n\n", "ü\n\nx"] {
            assert_eq!(unpack(changed, &signature), None, "{changed:?}");
        }
    }
}
