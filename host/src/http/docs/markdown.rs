//! A page of Markdown as HTML: no HTML of its own, links to other pages turned to where those are served.

use std::collections::BTreeMap;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// What the inside of a page is.
pub struct Rendered {
    pub title: String,
    /// The first paragraph, as plain text.
    pub lead: String,
    /// Level, id and text of what stands below the title.
    pub headings: Vec<(u8, String, String)>,
    pub html: String,
}

/// `source` is where the text lies in the repository, `pages` the name and source of every page.
pub fn render(source: &str, text: &str, pages: &[(&str, &str)]) -> Rendered {
    let mut events: Vec<Event<'_>> =
        Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| shown(event, source, pages)).collect();
    let mut found = Rendered { title: String::new(), lead: String::new(), headings: Vec::new(), html: String::new() };
    let mut taken = BTreeMap::new();
    for at in 0..events.len() {
        match &events[at] {
            Event::Start(Tag::Heading { level, .. }) => {
                let (level, text) = (*level, plain(&events[at + 1..], |end| matches!(end, TagEnd::Heading(_))));
                let id = anchor(&text, &mut taken);
                match level {
                    HeadingLevel::H1 if found.title.is_empty() => found.title = text,
                    _ => found.headings.push((level as u8, id.clone(), text)),
                }
                let (classes, attrs) = (Vec::new(), Vec::new());
                events[at] = Event::Start(Tag::Heading { level, id: Some(id.into()), classes, attrs });
            }
            Event::Start(Tag::Paragraph) if found.lead.is_empty() => {
                found.lead = plain(&events[at + 1..], |end| matches!(end, TagEnd::Paragraph));
            }
            _ => {}
        }
    }
    html::push_html(&mut found.html, events.into_iter());
    found
}

/// A description that stands in `openapi.json`.
pub fn fragment(text: &str) -> String {
    let mut html = String::new();
    html::push_html(&mut html, Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| shown(event, "", &[])));
    html
}

/// HTML is shown as the text that it is, columns need no style, pictures are not shown.
fn shown<'a>(event: Event<'a>, source: &str, pages: &[(&str, &str)]) -> Event<'a> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Table(columns)) => {
            Event::Start(Tag::Table(vec![pulldown_cmark::Alignment::None; columns.len()]))
        }
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = target(&dest_url, source, pages).map_or(dest_url, CowStr::from);
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Emphasis),
        event => event,
    }
}

/// Where a link to another file of the repository leads here.
fn target(link: &str, source: &str, pages: &[(&str, &str)]) -> Option<String> {
    let (file, fragment) = link.split_once('#').map_or((link, None), |(file, fragment)| (file, Some(fragment)));
    if file.is_empty() || file.starts_with('/') || file.contains(':') {
        return None;
    }
    let mut path: Vec<&str> = source.split('/').collect();
    path.pop();
    for part in file.split('/') {
        match part {
            "." => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    let path = path.join("/");
    let (name, _) = pages.iter().find(|(_, source)| *source == path)?;
    Some(fragment.map_or(format!("/docs/{name}"), |fragment| format!("/docs/{name}#{fragment}")))
}

fn plain(events: &[Event<'_>], is_end: impl Fn(&TagEnd) -> bool) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            Event::End(end) if is_end(end) => break,
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
    }
    text
}

/// As the places where repositories are shown make them, so that a link works there and here.
fn anchor(heading: &str, taken: &mut BTreeMap<String, usize>) -> String {
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c)).collect::<String>();
    let id = kept.replace(' ', "-");
    let times = taken.entry(id.clone()).and_modify(|times| *times += 1).or_insert(0);
    if *times == 0 { id } else { format!("{id}-{times}") }
}
