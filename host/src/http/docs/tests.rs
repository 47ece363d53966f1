use std::collections::BTreeSet;

use super::*;

/// What stands between these two, each time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

fn text(file: &File) -> &str {
    str::from_utf8(&file.bytes).unwrap()
}

fn html() -> Vec<(&'static str, &'static str)> {
    let site: &'static Site = &SITE;
    let pages = site.files.iter().filter(|(_, file)| file.media_type == HTML);
    let mut all: Vec<_> = pages.map(|(name, file)| (name.as_str(), text(file))).collect();
    all.extend([("", text(&site.contents)), ("missing", text(&site.missing))]);
    all
}

#[test]
fn every_link_leads_somewhere() {
    let pages = html();
    let anchors = |name: &str| {
        let (_, page) = pages.iter().find(|(known, _)| *known == name).unwrap();
        between(page, " id=\"", "\"").into_iter().collect::<BTreeSet<_>>()
    };
    let mut wrong = Vec::new();
    for (name, page) in &pages {
        for link in between(page, " href=\"", "\"") {
            let (path, fragment) = link.split_once('#').map_or((link, None), |(path, at)| (path, Some(at)));
            let leads_to = match path {
                "" => Some(*name),
                "/docs" => Some(""),
                "/docs/style.css" | "/api/v1/openapi.json" => continue,
                path if path.starts_with("https://") => continue,
                path => path.strip_prefix("/docs/").filter(|to| pages.iter().any(|(known, _)| known == to)),
            };
            let there = leads_to.is_some_and(|to| fragment.is_none_or(|at| anchors(to).contains(at)));
            if !there {
                wrong.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_page_has_what_its_policy_would_not_run() {
    for (name, page) in html() {
        for forbidden in ["<script", "style=\"", "<style", "<img", "<iframe", "javascript:", " onclick", "<form"] {
            assert!(!page.contains(forbidden), "{name} has {forbidden}");
        }
    }
}

#[test]
fn every_page_has_a_title_a_beginning_and_ids_that_are_its_own() {
    for (name, page) in rendered() {
        assert!(!page.title.is_empty() && !page.lead.is_empty(), "{name}");
        let ids = between(&page.html, " id=\"", "\"");
        let different: BTreeSet<_> = ids.iter().collect();
        assert_eq!(ids.len(), different.len(), "{name}: {ids:?}");
    }
}

#[test]
fn the_reference_shows_every_operation() {
    let document: serde_json::Value = serde_json::from_slice(&DOCUMENT).unwrap();
    let page = text(&SITE.files[REFERENCE]);
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.contains(&format!("<h3 id=\"{id}\">")), "{method} {path}");
        }
    }
}

#[test]
fn html_in_a_page_is_text() {
    let page = markdown::render("x.md", "# A <b>\n\n<script>alert(1)</script> ![p](q.png) [l](javascript:alert)", &[]);
    assert!(!page.html.contains("<script") && !page.html.contains("<img"), "{}", page.html);
}
