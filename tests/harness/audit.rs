//! The audit trail of one server, read back: is it whole, is it chained, does it name every request?

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;

use super::client::Seen;

/// Every record, in the order of the file.
pub struct Trail(pub Vec<Value>);

impl Trail {
    /// All files of `folder` whose name begins with `audit`.
    pub fn read(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).expect("the data folder is there").flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("audit")));
        files.sort();
        let text: String = files.iter().map(|file| std::fs::read_to_string(file).expect("records are text")).collect();
        assert!(text.is_empty() || text.ends_with('\n'), "the last record is whole");
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no record: {line}"));
        Self(text.lines().map(parse).collect())
    }

    /// The records of one request.
    pub fn of<'a>(&'a self, request: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |record| record["request"] == request)
    }

    /// Each record carries what the one before it ended in, chain by chain.
    pub fn assert_chained(&self) {
        let mut ends: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for record in &self.0 {
            let chain = text(record, "chain");
            let (seq, mac) = (number(record, "seq"), text(record, "mac"));
            assert!(record["operation"].is_string() && record["phase"].is_string(), "says what: {record}");
            if let Some((before, end)) = ends.get(&chain) {
                assert_eq!(seq, before + 1, "one after the other: {record}");
                assert_eq!(&text(record, "prev"), end, "chained to the one before: {record}");
            }
            assert!(record["time"].as_str().is_some_and(|time| time.ends_with('Z')), "has a time: {record}");
            ends.insert(chain, (seq, mac));
        }
    }

    /// Before and after every request, or one refusal.
    pub fn assert_complete(&self, seen: &[Seen]) {
        // More refusals than 50 in a second are counted, not told one by one.
        let summarised = self.0.iter().any(|record| record["operation"] == "audit.summed");
        let mut by_request: HashMap<&str, Vec<&Value>> = HashMap::new();
        for record in &self.0 {
            by_request.entry(record["request"].as_str().unwrap_or_default()).or_default().push(record);
        }
        for request in seen {
            let records = by_request.get(request.id.as_str()).map_or(&[][..], Vec::as_slice);
            // Between the two stands what plugins asked of others.
            let records: Vec<&&Value> = records.iter().filter(|record| record["phase"] != "work").collect();
            let phases: Vec<&str> = records.iter().filter_map(|record| record["phase"].as_str()).collect();
            let named = format!("{} → {} ({}): {phases:?}", request.what, request.status, request.id);
            // Who gives back a token that nobody was given is told what everybody is told (RFC 7009 section 2.2).
            let is_refusal = request.status >= 400 || request.what.ends_with("/token/revoke");
            match phases.as_slice() {
                ["decided", "answered"] => {}
                ["refused"] => assert!(is_refusal, "refused, and answered all the same: {named}"),
                [] => assert!(summarised && is_refusal, "no record: {named}"),
                _ => panic!("not a pair, nor a refusal: {named}"),
            }
            for record in &records {
                if let Some(status) = record["status"].as_u64() {
                    assert_eq!(status, u64::from(request.status), "the record tells another status: {named}");
                }
            }
        }
    }
}

fn text(record: &Value, name: &str) -> String {
    record[name].as_str().unwrap_or_else(|| panic!("a record without {name}: {record}")).to_owned()
}

fn number(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap_or_else(|| panic!("a record without {name}: {record}"))
}
