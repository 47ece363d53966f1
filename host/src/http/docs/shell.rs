//! What stands around every page: the head, the list of pages, the list of what is on this one.

use std::fmt::Write as _;

use super::{REFERENCE, markdown::Rendered};
use crate::http::html::escaped;

pub const CSS: &str = include_str!("style.css");

/// One page, as others name it.
pub struct Entry<'a> {
    pub name: &'a str,
    pub title: &'a str,
    pub lead: &'a str,
}

pub fn page(name: &str, page: &Rendered, entries: &[Entry<'_>]) -> String {
    let mut on_this = String::new();
    for (level, id, text) in page.headings.iter().filter(|(level, ..)| *level <= 3) {
        let _ = write!(on_this, "<li class=\"l{level}\"><a href=\"#{id}\">{}</a></li>", escaped(text));
    }
    if !on_this.is_empty() {
        on_this = format!("<nav class=\"on-this\" aria-label=\"On this page\"><ul>{on_this}</ul></nav>");
    }
    whole(&page.title, Some(name), entries, &page.html, &on_this)
}

pub fn contents(entries: &[Entry<'_>]) -> String {
    let mut list =
        String::from("<h1>Coffer</h1><p>A secrets server. These pages are about the server that shows them.</p>");
    for (heading, of) in GROUPS {
        let _ = write!(list, "<h2>{heading}</h2><dl>");
        for Entry { name, title, lead } in entries.iter().filter(|entry| of(entry.name)) {
            let (title, lead) = (escaped(title), escaped(lead));
            let _ = write!(list, "<dt><a href=\"/docs/{name}\">{title}</a></dt><dd>{lead}</dd>");
        }
        list.push_str("</dl>");
    }
    whole("Documentation", None, entries, &list, "")
}

pub fn missing(entries: &[Entry<'_>]) -> String {
    let told = "<h1>No such page</h1><p>There is no page here. The <a href=\"/docs\">contents</a> list all that there are.</p>";
    whole("No such page", None, entries, told, "")
}

/// Whose pages they are.
type Group = (&'static str, fn(&str) -> bool);

const GROUPS: [Group; 3] = [
    ("Guides", |name| !is_plugin(name) && name != REFERENCE),
    ("Reference", |name| name == REFERENCE),
    ("Plugins", is_plugin),
];

fn is_plugin(name: &str) -> bool {
    name.starts_with("plugin-")
}

fn whole(title: &str, current: Option<&str>, entries: &[Entry<'_>], inside: &str, beside: &str) -> String {
    let mut pages = String::new();
    for (heading, of) in GROUPS {
        let _ = write!(pages, "<h2>{heading}</h2><ul>");
        for entry in entries.iter().filter(|entry| of(entry.name)) {
            let here = if current == Some(entry.name) { " aria-current=\"page\"" } else { "" };
            // Of a plugin's title, what comes before the colon is its name.
            let short = escaped(entry.title.split(':').next().unwrap_or(entry.title));
            let _ = write!(pages, "<li><a href=\"/docs/{}\"{here}>{short}</a></li>", entry.name);
        }
        pages.push_str("</ul>");
    }
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Coffer</title>\n<link rel=\"stylesheet\" href=\"/docs/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">Skip to the text</a>\n\
         <header><a href=\"/docs\">Coffer</a> <span>{version}</span></header>\n\
         <div class=\"frame\">\n<nav class=\"pages\" aria-label=\"Pages\">{pages}</nav>\n\
         <main id=\"content\">{inside}</main>\n{beside}\n</div>\n</body>\n</html>\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}
