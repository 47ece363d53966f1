//! The pages of `host/docs`, done as they are written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use coffer::{config::Config, http::error::Kind, security::OPERATIONS};

use crate::harness::page::{Block, alike, blocks, done_as_written, matches};

macro_rules! pages {
    ($($story:ident $file:literal),* $(,)?) => {
        /// A page without a story would be believed.
        const PAGES: &[&str] = &[$($file),*];
        $(#[tokio::test] async fn $story() {
            done_as_written($file, &text($file)).await;
        })*
    };
}

pages! {
    the_quick_start_works_as_it_is_written "1-quick-start.md",
    concepts_hold_as_they_are_written "2-concepts.md",
    the_api_guide_works_as_it_is_written "3-api.md",
    the_command_line_does_what_its_page_says "4-command-line.md",
    operating_works_as_it_is_written "5-operating.md",
    policies_decide_as_the_cookbook_says "6-policies.md",
    promises_hold_where_they_can_be_tried "7-security.md",
}

/// Done elsewhere: what they need (compilers, packages of other languages) is in `tests/languages/plugins.sh`, and what
/// was measured in `make bench-plugins`. The reference is held to the code by `catalog`.
const ELSEWHERE: &[&str] = &["8-plugins-tutorial.md", "9-plugins-costs.md", "10-plugins-reference.md"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn text(page: &str) -> String {
    std::fs::read_to_string(folder().join(page)).expect("a page is text")
}

/// The pages of plugins speak in the words of the API guide.
const WORDS: &str = r#"```sh
ready() { grep -o "\"$1\": *\"[^\"]*\"" coffer-dev/ready.json | cut -d '"' -f 4; }
member() { grep -o "\"$1\": *\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }
call() { curl -sS --fail-with-body --cacert "$(ready ca_cert)" "$@" && echo; }
URL="$(ready url)/api/v1"
TOKEN=$(call "$URL/token/create" -d "{\"username\": \"admin\", \"password\": \"$(ready admin_password)\"}" | member access_token)
api() { call -H "Authorization: Bearer $TOKEN" "$@"; }
```
"#;

#[tokio::test]
async fn the_pages_of_plugins_work_as_they_are_written() {
    let plugins = folder().join("../../plugins");
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(plugins).expect("there are plugins").flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path().join("README.md")) else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        let has_commands = blocks(&name, &text).iter().any(|block| matches!(block, Block::Sh { .. }));
        pages.extend(has_commands.then_some((name, text)));
    }
    assert!(pages.len() >= 4, "{}", pages.len());
    for (name, text) in pages {
        done_as_written(&name, &format!("{WORDS}{text}")).await;
    }
}

#[test]
fn every_page_is_done() {
    let names = std::fs::read_dir(folder()).expect("there are pages").flatten();
    let there: BTreeSet<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let done: BTreeSet<_> = PAGES.iter().chain(ELSEWHERE).map(|&name| name.to_owned()).collect();
    assert_eq!(there, done);
}

#[test]
fn the_api_guide_names_every_type_and_every_operation() {
    let page = text("3-api.md");
    let named = |name: &str| page.contains(&format!("`{name}`"));
    let types = Kind::ALL.iter().filter(|kind| kind.status() == 422).map(|kind| kind.code());
    let lost: Vec<_> = types.chain(OPERATIONS.iter().copied()).filter(|name| !named(name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn every_configuration_is_one() {
    for page in PAGES {
        for block in blocks(page, &text(page)) {
            if let Block::Toml(text) = block
                && let Err(error) = Config::parse(Some((Path::new(page), &text)), std::iter::empty(), None)
            {
                panic!("{page}: {error}\n{text}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "unknown kind")]
fn a_block_that_nobody_would_try_is_refused() {
    blocks("page", "# A\n\n```bash\ntrue\n```\n");
}

#[test]
fn what_varies_may_be_left_out_and_nothing_else() {
    assert!(matches("a … c …", "a b c d") && matches("a", "a") && matches("…", ""));
    assert!(!matches("a … c", "a b d") && !matches("a", "ab") && !matches("…b", "a"));
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert!(alike(&json(r#"{"a": "…", "b": [1, "…"]}"#), &json(r#"{"a": {"c": 1}, "b": [1, 2, 3]}"#)));
    assert!(alike(&json(r#"{"a": "x…", "…": "…"}"#), &json(r#"{"a": "xy", "b": 2}"#)));
    assert!(!alike(&json(r#"{"a": "…"}"#), &json(r#"{"a": 1, "b": 2}"#)));
    assert!(!alike(&json(r#"{"a": [1]}"#), &json(r#"{"a": [1, 2]}"#)));
}
