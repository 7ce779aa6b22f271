//! HTML as text that a model reads: Markdown in the main.
//!
//! Invariants: work and memory grow with the page's size and with nothing else, however it is nested
//! (a tokenizer and a flat state, no tree); what is written is bounded.

use html5gum::emitters::default::{DefaultEmitter, StartTag};
use html5gum::{Token, Tokenizer};
use reqwest::Url;

use crate::limits::{LIST_DEPTH_MAX, READABLE_BYTES_MAX};

/// Elements whose content is no text of the page.
const SKIPPED: &[&[u8]] = &[
    b"script",
    b"style",
    b"noscript",
    b"template",
    b"svg",
    b"math",
    b"iframe",
    b"object",
    b"head",
];

/// What an element does to the lines around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    None,
    Line,
    Paragraph,
}

fn break_of(name: &[u8]) -> Break {
    match name {
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"ul" | b"ol" | b"dl" | b"table"
        | b"blockquote" | b"pre" | b"hr" | b"article" | b"section" | b"form" | b"figure" => {
            Break::Paragraph
        }
        b"div" | b"li" | b"tr" | b"dt" | b"dd" | b"br" | b"header" | b"footer" | b"nav"
        | b"main" | b"aside" | b"figcaption" | b"caption" | b"option" | b"address"
        | b"fieldset" | b"summary" | b"details" | b"body" => Break::Line,
        _ => Break::None,
    }
}

/// A page as text; links are written whole, as seen from `base`.
pub(super) fn text_of(html: &str, base: Option<&Url>) -> String {
    let mut emitter = DefaultEmitter::default();
    // Otherwise the text of scripts and titles would be read as tags.
    emitter.naively_switch_states(true);
    let mut page = Page { base, ..Page::default() };
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => page.open(&tag),
            Token::EndTag(tag) => page.close(&tag.name),
            Token::String(text) => page.text(&String::from_utf8_lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
        if page.out.len() > READABLE_BYTES_MAX {
            break;
        }
    }
    page.finish()
}

#[derive(Default)]
struct Page<'a> {
    base: Option<&'a Url>,
    out: String,
    title: String,
    in_title: bool,
    /// The element that is left out, and how deep it is in itself.
    skipping: Option<(Vec<u8>, usize)>,
    /// Whether white space counts.
    in_pre: bool,
    /// The next number of each list; `None` for one without numbers.
    lists: Vec<Option<u32>>,
    /// Where a link's text began, and where it leads.
    link: Option<(usize, String)>,
    /// White space that is written once text follows.
    space: bool,
}

impl Page<'_> {
    fn open(&mut self, tag: &StartTag<()>) {
        let name: &[u8] = &tag.name;
        if name == b"title" {
            self.in_title = self.title.is_empty();
            return;
        }
        if name == b"body" {
            // A head that was never closed ends here.
            self.skipping = None;
        }
        if let Some((skipped, depth)) = &mut self.skipping {
            *depth += usize::from(skipped == name && !tag.self_closing);
            return;
        }
        if SKIPPED.contains(&name) {
            if !tag.self_closing {
                self.skipping = Some((name.to_vec(), 1));
            }
            return;
        }
        self.break_line(break_of(name));
        match name {
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => {
                let level = name.get(1).map_or(1, |digit| usize::from(digit - b'0'));
                self.out.push_str(&"#".repeat(level));
                self.out.push(' ');
            }
            b"ul" if self.lists.len() < LIST_DEPTH_MAX => self.lists.push(None),
            b"ol" if self.lists.len() < LIST_DEPTH_MAX => self.lists.push(Some(1)),
            b"li" => self.item(),
            b"pre" => {
                self.out.push_str("```\n");
                self.in_pre = true;
            }
            b"code" if !self.in_pre => self.push("`"),
            b"blockquote" => self.out.push_str("> "),
            b"hr" => self.out.push_str("---\n\n"),
            b"td" | b"th" => self.push("| "),
            b"img" => self.image(tag),
            b"a" => self.begin_link(tag),
            _ => {}
        }
    }

    fn close(&mut self, name: &[u8]) {
        if name == b"title" {
            self.in_title = false;
            return;
        }
        if let Some((skipped, depth)) = &mut self.skipping {
            *depth -= usize::from(skipped == name);
            if *depth == 0 {
                self.skipping = None;
            }
            return;
        }
        match name {
            b"a" => self.end_link(),
            b"code" if !self.in_pre => self.out.push('`'),
            b"pre" if self.in_pre => {
                self.in_pre = false;
                if !self.out.ends_with('\n') {
                    self.out.push('\n');
                }
                self.out.push_str("```");
            }
            b"ul" | b"ol" => drop(self.lists.pop()),
            b"td" | b"th" => self.space = true,
            _ => {}
        }
        if name != b"br" {
            self.break_line(break_of(name));
        }
    }

    fn text(&mut self, text: &str) {
        if self.in_title {
            self.title.push_str(text);
        } else if self.skipping.is_some() {
        } else if self.in_pre {
            self.out.push_str(text);
        } else {
            for (n, word) in text.split(char::is_whitespace).enumerate() {
                self.space |= n > 0;
                if !word.is_empty() {
                    self.push(word);
                }
            }
        }
    }

    /// Writes a word behind the white space that stands before it.
    fn push(&mut self, word: &str) {
        let at_start = self.out.is_empty() || self.out.ends_with([' ', '\n']);
        if std::mem::take(&mut self.space) && !at_start {
            self.out.push(' ');
        }
        self.out.push_str(word);
    }

    fn break_line(&mut self, wanted: Break) {
        let wanted = match wanted {
            Break::None => return,
            _ if self.in_pre => 1,
            Break::Line => 1,
            // Lists inside lists stand close.
            Break::Paragraph => 2 - usize::from(!self.lists.is_empty()),
        };
        self.space = false;
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        let have = self.out.bytes().rev().take_while(|byte| *byte == b'\n').count();
        if !self.out.is_empty() {
            self.out.extend(std::iter::repeat_n('\n', wanted.saturating_sub(have)));
        }
    }

    fn item(&mut self) {
        self.out.push_str(&"  ".repeat(self.lists.len().saturating_sub(1)));
        if let Some(Some(number)) = self.lists.last_mut() {
            self.out.extend([number.to_string().as_str(), ". "]);
            *number = number.saturating_add(1);
        } else {
            self.out.push_str("- ");
        }
    }

    fn image(&mut self, tag: &StartTag<()>) {
        let words = attribute(tag, b"alt");
        let words: Vec<&str> = words.split_whitespace().collect();
        if !words.is_empty() {
            self.push(&format!("[image: {}]", words.join(" ")));
        }
    }

    fn begin_link(&mut self, tag: &StartTag<()>) {
        self.end_link();
        let target = attribute(tag, b"href");
        if target.is_empty() || target.starts_with('#') {
            return;
        }
        let url = match self.base {
            Some(base) => base.join(&target).ok(),
            None => Url::parse(&target).ok(),
        };
        if let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https" | "mailto")) {
            self.push("");
            self.link = Some((self.out.len(), url.into()));
        }
    }

    fn end_link(&mut self) {
        let Some((start, url)) = self.link.take() else { return };
        let text = self.out.get(start..).unwrap_or_default();
        if text.trim().is_empty() {
            return;
        }
        let lead = text.len() - text.trim_start().len();
        self.out.insert(start + lead, '[');
        self.out.push_str("](");
        self.out.push_str(&url);
        self.out.push(')');
    }

    fn finish(mut self) -> String {
        self.end_link();
        if self.in_pre {
            self.out.push_str("\n```");
        }
        let title: Vec<&str> = self.title.split_whitespace().collect();
        let body = self.out.trim();
        if title.is_empty() {
            return body.to_owned();
        }
        format!("Title: {}\n\n{body}", title.join(" ")).trim_end().to_owned()
    }
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> String {
    let value = tag.attributes.get(name);
    value.map(|value| String::from_utf8_lossy(value).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn text(html: &str) -> String {
        let base = Url::parse("https://example.com/a/b").unwrap();
        text_of(html, Some(&base))
    }

    #[test]
    fn a_page_becomes_markdown() {
        let page = "<!doctype html><html><head><title>The\n title</title><style>x{}</style>
            <script>if (a < b) { document.write('<p>no</p>') }</script></head><body>
            <h2>Head</h2><p>Some <b>bold</b>\n text &amp; a <a href='../x?y#z'>link
            here</a>.</p><ul><li>one<li>two<ol><li>in</ol></ul><p>after <code>let x</code><br>line</p>
            <pre>let x = 1;\n  y</pre><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr>
            </table><img src=x alt='a  cat'><svg><text>no</text></svg><p>end";
        assert_eq!(
            text(page),
            "Title: The title\n\n## Head\n\nSome bold text & a \
             [link here](https://example.com/x?y#z).\n\n- one\n- two\n  1. in\n\nafter `let x`\nline\
             \n\n```\nlet x = 1;\n  y\n```\n\n| a | b\n| 1 | 2\n\n[image: a cat]\n\nend"
        );
    }

    #[test]
    fn what_is_no_link_is_text() {
        for href in ["#top", "javascript:alert(1)", "", "data:text/html,x"] {
            assert_eq!(text(&format!("<a href=\"{href}\">x</a>")), "x", "{href}");
        }
        assert_eq!(text("<a href=/x><img src=y></a>z"), "z");
        assert_eq!(text_of("<a href=/x>rel</a>", None), "rel");
    }

    #[test]
    fn an_unclosed_head_does_not_swallow_the_page() {
        assert_eq!(text("<head><title>T</title><body>here"), "Title: T\n\nhere");
        assert_eq!(text("no tags at all"), "no tags at all");
    }

    /// Pages like these take tree builders minutes, or their stack.
    #[test]
    fn nesting_costs_nothing() {
        let began = Instant::now();
        for open in
            ["<div>", "<ul><li>", "<b><i>", "<a href=x>", "<svg>", "<table><tr><td>", "<pre>"]
        {
            let page = open.repeat(200_000);
            assert!(text(&page).len() <= READABLE_BYTES_MAX + 64, "{open}");
        }
        // A bound against a growth with the square, which would take minutes; not a measurement.
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    }

    proptest! {
        #[test]
        fn no_page_makes_it_fall(page in "(<[/a-z!]{0,2}(a|p|li|ul|pre|title|svg|body|td)?( href=x)?[/>]?|[ -~äß\n]{0,5}){0,40}") {
            let shown = text(&page);
            prop_assert_eq!(shown.trim(), shown.as_str());
        }
    }
}
