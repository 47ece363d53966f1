//! The plugin contract, held to what was released: a plugin that was built against it runs for ever.
//!
//! `fixtures/contract/v1.wit` is the text of the first release; nobody changes it. What its header allows may
//! come on top: functions of interfaces that guests import, and new interfaces and worlds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wit_component::WitPrinter;
use wit_parser::Resolve;

/// Interfaces that a guest exports: a function more would be one that older guests do not have.
const EXPORTED: [&str; 6] = ["plugin", "engine", "leases", "auth", "credentials", "maintenance"];

/// Each interface and world with the declarations in it, as they are printed without comments.
type Contract = BTreeMap<String, BTreeSet<String>>;

fn read(text: &str) -> Contract {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("contract.wit", text).expect("the contract is WIT");
    let mut printer = WitPrinter::default();
    printer.emit_docs(false).print(&resolve, package, &[]).expect("it can be printed");
    blocks(&printer.output.to_string())
}

/// Takes printed WIT apart, by the depth of its braces. Of a resource, each function stands for itself; a
/// record, variant, enum or set of flags is one declaration, whole.
fn blocks(text: &str) -> Contract {
    let mut contract = Contract::new();
    let (mut block, mut within, mut whole) = (None::<String>, Vec::<String>::new(), None::<String>);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("package ") {
            contract.entry("package".to_owned()).or_default().insert(major(line));
            continue;
        }
        let Some(name) = &block else {
            if let Some(head) = line.strip_suffix('{') {
                block = Some(head.trim().to_owned());
                contract.entry(head.trim().to_owned()).or_default();
            }
            continue;
        };
        let declarations = contract.get_mut(name).expect("it was begun");
        if let Some(so_far) = &mut whole {
            so_far.push_str(line);
            if line == "}" {
                declarations.insert(whole.take().unwrap_or_default());
            }
        } else if line == "}" {
            if within.pop().is_none() {
                block = None;
            }
        } else if line.starts_with("resource ") && line.ends_with('{') {
            declarations.insert(line.trim_end_matches('{').trim().to_owned());
            within.push(line.trim_end_matches('{').trim().to_owned());
        } else if line.ends_with('{') {
            whole = Some(line.to_owned());
        } else {
            declarations.insert(within.iter().map(String::as_str).chain([line]).collect::<Vec<_>>().join(" . "));
        }
    }
    contract
}

/// Within one major version the version may grow.
fn major(package: &str) -> String {
    package.split('.').next().unwrap_or_default().to_owned()
}

/// What of `now` breaks the promise of `then`.
fn broken(then: &Contract, now: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    for (name, released) in then {
        let Some(present) = now.get(name) else {
            found.push(format!("{name} is gone"));
            continue;
        };
        found.extend(released.difference(present).map(|lost| format!("{name}: {lost} is gone or changed")));
        let exported = EXPORTED.iter().any(|interface| *name == format!("interface {interface}"));
        for added in present.difference(released) {
            let may = match name.split(' ').next() {
                Some("world") => added.starts_with("import "),
                Some("interface") => !exported && added.contains(": func("),
                _ => false,
            };
            if !may {
                found.push(format!("{name}: {added} may not come on top"));
            }
        }
    }
    found
}

fn released() -> Contract {
    read(include_str!("fixtures/contract/v1.wit"))
}

#[test]
fn the_contract_says_what_it_said_when_it_was_released() {
    let now = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/v1/plugin.wit");
    let now = read(&std::fs::read_to_string(now).expect("the contract"));
    let broken = broken(&released(), &now);
    assert!(broken.is_empty(), "older plugins would break: {broken:#?}");
}

#[test]
fn what_would_break_older_plugins_is_seen_and_what_the_header_allows_is_not() {
    let text = include_str!("fixtures/contract/v1.wit");
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        broken(&released(), &read(&text.replacen(from, to, 1)))
    };
    // Functions of imported interfaces and of their resources, interfaces, worlds, comments, imports of worlds.
    let new = "interface later { later: func(); } world newer { export plugin; }";
    for (from, to) in [
        ("  mount-path: func() -> string;", "  mount-path: func() -> string;\n  node: func() -> string;"),
        ("    version: func() -> u32;", "    version: func() -> u32;\n    label: func() -> string;"),
        ("/// Facts about this call.", "/// Other words."),
        ("interface clock {", &format!("{new}\ninterface clock {{")),
        ("package coffer:plugin@1.0.0;", "package coffer:plugin@1.1.0;"),
    ] {
        assert_eq!(with(from, to), Vec::<String>::new(), "{to}");
    }
    // Everything else.
    for (from, to) in [
        ("record field { name: string, value: string }", "record field { name: string, value: string, more: u8 }"),
        ("enum level { debug, info, warn, error }", "enum level { debug, info, warn, error, fatal }"),
        ("variant step { identity(identity), challenge(challenge) }", "variant step { identity(identity) }"),
        ("  mount-path: func() -> string;", ""),
        ("  mount-path: func() -> string;", "  mount-path: func() -> option<string>;"),
        (
            "  check: func() -> result<list<string>, error>;",
            "  check: func() -> result<list<string>, error>;\n  more: func();",
        ),
        ("package coffer:plugin@1.0.0;", "package coffer:plugin@2.0.0;"),
    ] {
        assert!(!with(from, to).is_empty(), "{to}");
    }
}
