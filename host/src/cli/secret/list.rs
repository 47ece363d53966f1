use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use crate::{
    cli::{
        Failure, With, complete, exit,
        output::{self, Format, plain},
    },
    ids::Folder,
};

#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    within: Within,
    /// What is in its folders as well
    #[arg(short, long)]
    recursive: bool,
}

#[derive(Args, Debug)]
pub struct Tree {
    #[command(flatten)]
    within: Within,
}

#[derive(Args, Debug)]
struct Within {
    /// A folder: kv/apps/
    #[arg(value_name = "FOLDER", value_parser = folder, add = ArgValueCompleter::new(complete::folders))]
    folder: Option<Folder>,
}

fn folder(text: &str) -> Result<Folder, &'static str> {
    Folder::parse(text).map_err(|error| error.0)
}

pub async fn list(with: &With, list: List) -> Result<(), Failure> {
    let found = found(with, &list.within, list.recursive).await?;
    let names = &["secret_id", "version", "updated_at", "expires_at"];
    if with.shape.field().is_some() {
        return with.list(&found, "secrets", names);
    }
    if [Format::Json, Format::Yaml].contains(&with.shape.format()) {
        return with.show(&found);
    }
    with.list(&json!({"entries": entries(&found)}), "entries", names)
}

pub async fn tree(with: &With, tree: Tree) -> Result<(), Failure> {
    let found = found(with, &tree.within, true).await?;
    if with.shape.field().is_some() || [Format::Json, Format::Yaml].contains(&with.shape.format()) {
        return with.show(&found);
    }
    let ids: Vec<String> = entries(&found).iter().map(|entry| output::text(&entry["secret_id"])).collect();
    output::put(&drawn(&ids))
}

async fn found(with: &With, within: &Within, recursive: bool) -> Result<Value, Failure> {
    let mut query = vec![("limit", "1000".to_owned())];
    query.extend(within.folder.iter().map(|folder| ("prefix", folder.to_string())));
    query.extend(recursive.then(|| ("recursive", "true".to_owned())));
    let mut found = with.client()?.all("secrets", &query, &["secrets", "folders", "warnings"]).await?;
    let warnings = found.as_object_mut().and_then(|found| found.remove("warnings"));
    for warning in warnings.iter().filter_map(Value::as_array).flatten() {
        exit::say(&format!("warning: {}", output::text(warning)));
    }
    Ok(found)
}

/// Secrets and folders, in the order of their names.
fn entries(found: &Value) -> Vec<Value> {
    let mut entries = found["secrets"].as_array().cloned().unwrap_or_default();
    entries.extend(found["folders"].as_array().into_iter().flatten().map(|folder| json!({"secret_id": folder})));
    entries.sort_by_cached_key(|entry| output::text(&entry["secret_id"]));
    entries.dedup_by_key(|entry| entry["secret_id"].clone());
    entries
}

/// Each name once, below the folder that it is in.
fn drawn(ids: &[String]) -> String {
    let split: Vec<Vec<&str>> = ids.iter().map(|id| id.split('/').filter(|name| !name.is_empty()).collect()).collect();
    let mut out = String::new();
    branch(&split, 0, "", &mut out);
    out
}

fn branch(ids: &[Vec<&str>], depth: usize, before: &str, out: &mut String) {
    // A secret and a folder may have the same name: the secret comes first, and stands alone.
    let groups: Vec<&[Vec<&str>]> = ids
        .chunk_by(|one, other| one.get(depth) == other.get(depth) && one.len() > depth + 1)
        .filter(|group| group[0].len() > depth)
        .collect();
    for (number, group) in groups.iter().enumerate() {
        let (turn, below) = match (depth, number + 1 == groups.len()) {
            (0, _) => ("", ""),
            (_, true) => ("└── ", "    "),
            (_, false) => ("├── ", "│   "),
        };
        let is_folder = group[0].len() > depth + 1;
        let end = if is_folder { "/" } else { "" };
        out.push_str(&format!("{before}{turn}{}{end}\n", plain(group[0][depth])));
        if is_folder {
            branch(group, depth + 1, &format!("{before}{below}"), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_names_each_folder_once() {
        let ids = ["kv/a", "kv/a/x", "kv/a/y/z", "kv/b", "transit/k"].map(str::to_owned);
        let expected = "kv/\n├── a\n├── a/\n│   ├── x\n│   └── y/\n│       └── z\n└── b\ntransit/\n└── k\n";
        assert_eq!(drawn(&ids), expected);
        assert_eq!(drawn(&[]), "");
    }

    #[test]
    fn secrets_and_folders_stand_in_the_order_of_their_names() {
        let found = json!({"secrets": [{"secret_id": "kv/b"}, {"secret_id": "kv/a"}], "folders": ["kv/a/"]});
        let names: Vec<String> = entries(&found).iter().map(|entry| output::text(&entry["secret_id"])).collect();
        assert_eq!(names, ["kv/a", "kv/a/", "kv/b"]);
    }
}
