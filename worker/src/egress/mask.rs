//! Takes secrets out of what comes back: the value itself and the forms in which servers commonly
//! repeat what they were sent.
//!
//! Invariants: what comes out does not depend on where the pieces were cut; memory does not grow with
//! the input; what is held back is shorter than the longest form.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The forms of some secrets, and what stands for them.
#[derive(Default)]
pub(crate) struct Mask {
    /// Longest first, so that the longest form wins where several begin.
    forms: Vec<Form>,
    /// Whether a form begins with this byte.
    begins: Vec<bool>,
}

struct Form {
    bytes: Vec<u8>,
    shown: Rc<str>,
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mask of {} forms", self.forms.len())
    }
}

/// What stands at a place.
enum Here<'a> {
    /// A form of a secret.
    Form(&'a Form),
    /// Perhaps one that goes on behind the end.
    Open,
    /// None.
    Nothing,
}

impl Mask {
    /// A mask of secrets: each by its name and a text that must not come back.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut mask = Self { forms: Vec::new(), begins: vec![false; 256] };
        for (name, hidden) in secrets {
            let shown: Rc<str> = format!("[secret {name}]").into();
            for bytes in forms(hidden.as_bytes()) {
                mask.add(bytes, &shown);
            }
        }
        mask
    }

    fn add(&mut self, bytes: Vec<u8>, shown: &Rc<str>) {
        let Some(first) = bytes.first() else { return };
        if let Some(begins) = self.begins.get_mut(usize::from(*first)) {
            *begins = true;
        }
        if self.forms.iter().all(|form| form.bytes != bytes) {
            let shorter = self.forms.partition_point(|form| form.bytes.len() >= bytes.len());
            self.forms.insert(shorter, Form { bytes, shown: Rc::clone(shown) });
        }
    }

    /// Whether there is nothing to take out.
    pub(crate) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// A whole text without the secrets.
    pub(crate) fn text(self: &Rc<Self>, text: &str) -> String {
        let mut masking = Masking::new(self);
        let mut out = masking.push(text.as_bytes());
        out.extend(masking.finish());
        String::from_utf8_lossy(&out).into_owned()
    }

    fn look(&self, rest: &[u8], is_end: bool) -> Here<'_> {
        let begins = rest.first().and_then(|first| self.begins.get(usize::from(*first)));
        if begins != Some(&true) {
            return Here::Nothing;
        }
        for form in &self.forms {
            if rest.starts_with(&form.bytes) {
                return Here::Form(form);
            }
            // A longer form may still come to its end; a shorter one waits for that.
            if !is_end && form.bytes.starts_with(rest) {
                return Here::Open;
            }
        }
        Here::Nothing
    }
}

/// A stream on its way through a mask.
#[derive(Debug)]
pub(crate) struct Masking {
    mask: Rc<Mask>,
    held: Vec<u8>,
}

impl Masking {
    /// The beginning of a stream.
    pub(crate) fn new(mask: &Rc<Mask>) -> Self {
        Self { mask: Rc::clone(mask), held: Vec::new() }
    }

    /// Takes the next piece and gives what is certain by now.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.go(false)
    }

    /// Gives the rest.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.go(true)
    }

    fn go(&mut self, is_end: bool) -> Vec<u8> {
        let input = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(input.len());
        let mut rest = input.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            match self.mask.look(rest, is_end) {
                Here::Form(form) => {
                    out.extend_from_slice(form.shown.as_bytes());
                    rest = rest.get(form.bytes.len()..).unwrap_or_default();
                }
                Here::Open => break,
                Here::Nothing => {
                    out.push(*first);
                    rest = behind;
                }
            }
        }
        self.held = rest.to_vec();
        out
    }
}

/// A text in the forms that servers write it in.
fn forms(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![text.to_vec(), json(text)];
    for upper in [true, false] {
        for space in ["%20", "+"] {
            forms.push(percent(text, upper, space));
        }
    }
    for lead in 0..3 {
        forms.push(base64_core(text, lead, |bytes| STANDARD_NO_PAD.encode(bytes)));
        forms.push(base64_core(text, lead, |bytes| URL_SAFE_NO_PAD.encode(bytes)));
    }
    forms
}

/// As it stands between the quotes of a JSON string.
fn json(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// As it stands in a URL (RFC 3986 section 2), or in a form where a space is a plus.
fn percent(text: &[u8], upper: bool, space: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' ' => out.extend_from_slice(space.as_bytes()),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => out.push(*byte),
            byte if upper => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            byte => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
        }
    }
    out
}

/// The part of a base64 text that is the same whatever stands around the secret, when `lead` bytes of
/// a group of three stand before it.
fn base64_core(text: &[u8], lead: usize, encode: impl Fn(&[u8]) -> String) -> Vec<u8> {
    let mut padded = vec![0; lead];
    padded.extend_from_slice(text);
    let digits = encode(&padded);
    let (first, end) = ((lead * 8).div_ceil(6), padded.len() * 8 / 6);
    digits.get(first..end).unwrap_or_default().as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "s3cr\"et/v\\alue +1";

    fn mask() -> Rc<Mask> {
        Rc::new(Mask::new([("TOKEN", SECRET), ("OTHER", "s3cr\"et/longer-by-far")]))
    }

    fn all(mask: &Rc<Mask>, input: &[u8], piece: usize) -> Vec<u8> {
        let mut masking = Masking::new(mask);
        let longest = mask.forms.first().map_or(0, |form| form.bytes.len());
        let mut out = Vec::new();
        for piece in input.chunks(piece.max(1)) {
            out.extend(masking.push(piece));
            assert!(masking.held.len() < longest.max(1));
        }
        out.extend(masking.finish());
        assert!(masking.held.is_empty());
        out
    }

    #[test]
    fn the_usual_forms_are_taken_out() {
        let mask = mask();
        let json = serde_json::to_string(SECRET).unwrap();
        assert_eq!(mask.text(&format!("a{SECRET}b")), "a[secret TOKEN]b");
        assert_eq!(mask.text(&format!("{{\"k\":{json}}}")), "{\"k\":\"[secret TOKEN]\"}");
        for encoded in ["s3cr%22et%2Fv%5Calue%20%2B1", "s3cr%22et%2fv%5calue+%2b1"] {
            assert_eq!(mask.text(encoded), "[secret TOKEN]");
        }
        assert_eq!(mask.text("nothing here"), "nothing here");
        assert!(!format!("{mask:?}").contains("s3cr"));
    }

    #[test]
    fn the_longest_form_wins() {
        assert_eq!(mask().text("s3cr\"et/longer-by-far"), "[secret OTHER]");
        let mask = Rc::new(Mask::new([("A", "aaaa"), ("B", "aaaab")]));
        assert_eq!(mask.text("aaaab aaaa"), "[secret B] [secret A]");
        assert!(Rc::new(Mask::new([])).is_empty());
    }

    proptest! {
        /// Wherever a secret stands in an encoded text, its own characters are gone.
        #[test]
        fn base64_of_anything_around_it_is_taken_out(before in "[ -~]{0,9}", after in "[ -~]{0,9}") {
            let whole = format!("{before}{SECRET}{after}");
            for text in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                prop_assert!(mask().text(&text).contains("[secret TOKEN]"), "{text}");
            }
        }

        /// The pieces do not matter, and nothing but secrets changes.
        #[test]
        fn pieces_do_not_matter(
            parts in proptest::collection::vec(prop_oneof![
                Just(SECRET.as_bytes().to_vec()),
                Just(SECRET.as_bytes()[..9].to_vec()),
                Just(STANDARD_NO_PAD.encode(SECRET).into_bytes()),
                proptest::collection::vec(any::<u8>(), 0..20),
            ], 0..12),
            piece in 1usize..40,
        ) {
            let mask = mask();
            let input = parts.concat();
            let whole = all(&mask, &input, usize::MAX);
            prop_assert_eq!(&all(&mask, &input, piece), &whole);
            let holds = |text: &[u8]| text.windows(SECRET.len()).any(|w| w == SECRET.as_bytes());
            prop_assert!(!holds(&whole));
        }

        /// A text without any secret is what it was.
        #[test]
        fn what_is_no_secret_stays(input in proptest::collection::vec(any::<u8>(), 0..300), piece in 1usize..40) {
            prop_assert_eq!(all(&mask(), &input, piece), input);
        }
    }
}
