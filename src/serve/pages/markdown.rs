//! Markdown of ours as HTML: the pages of codes, and what a hover says. It can quote names and labels of a service, so nothing in it is
//! markup, and a link leads to another code or nowhere.

use maud::{Markup, PreEscaped};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::diagnostics::Code;

/// A text as HTML.
pub fn html(text: &str) -> Markup {
    let mut linked = Vec::new();
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).filter_map(|event| match event {
        // What generates a part of a page leaves its marks there.
        Event::Html(text) | Event::InlineHtml(text) if text.trim_start().starts_with("<!--") => None,
        Event::Html(text) | Event::InlineHtml(text) => Some(Event::Text(text)),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let page = page_of(&dest_url);
            linked.push(page.is_some());
            page.map(|page| Event::Start(Tag::Link { link_type, dest_url: CowStr::from(page), title, id }))
        }
        Event::End(TagEnd::Link) => linked.pop().unwrap_or(false).then_some(Event::End(TagEnd::Link)),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        other => Some(other),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    PreEscaped(out)
}

/// The page that a link of a page of a code leads to: `D012.md` is that code's.
fn page_of(address: &str) -> Option<String> {
    let code = Code::from_name(address.strip_suffix(".md")?)?;
    Some(format!("/explain/{code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_is_text_and_links_lead_to_codes_only() {
        let shown = html("# a <b>\n<script>x()</script>\n\n[D012](D012.md) [x](javascript:x) [y](https://example.com) ![z](a.png)");
        let shown = shown.into_string();
        assert!(shown.contains("<h1>a &lt;b&gt;</h1>"), "{shown}");
        assert!(!shown.contains("<script") && !shown.contains("javascript") && !shown.contains("example.com"), "{shown}");
        assert!(!shown.contains("<img"), "{shown}");
        assert!(shown.contains("<a href=\"/explain/D012\">D012</a> x y"), "{shown}");
    }

    #[test]
    fn every_page_of_a_code_is_html_without_marks_of_markdown() {
        for code in Code::ALL {
            let shown = html(code.page()).into_string();
            assert!(shown.starts_with(&format!("<h1>{code}: ")), "{code}: {shown}");
            assert!(!shown.contains("```") && !shown.contains("<!--") && !shown.contains("&lt;!--"), "{code}: {shown}");
        }
    }
}
