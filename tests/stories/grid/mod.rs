//! Who may do what: every kind of caller at every operation, by one table, and the same bad input at each.
//!
//! `rows` is the table, and says how one more operation gets its line. `world` is the server that a group of
//! rows has, its callers and the things that they call about; `document` is `openapi.json`, to which every
//! answer is held.

mod document;
mod malformed;
mod rows;
mod world;

use std::collections::BTreeSet;

use serde_json::Value;

use document::{Document, Operation};
use rows::{After, Call, Group, Row, rows};
use world::{Actor, Things, World};

use crate::harness::{Answer, TestServer};

#[tokio::test]
async fn the_table_and_the_document_name_the_same_operations() {
    let server = TestServer::start().await;
    let document = Document::read(server.anonymous().get("/openapi.json").await.expect(200));
    let rows = rows();
    let tabled: BTreeSet<&str> = rows.iter().map(|row| row.id).collect();
    let described: BTreeSet<&str> = document.operations.iter().map(|operation| operation.id.as_str()).collect();
    let without: Vec<_> = described.difference(&tabled).collect();
    assert!(without.is_empty(), "operations without a row in tests/stories/grid/rows.rs: {without:?}");
    let unknown: Vec<_> = tabled.difference(&described).collect();
    assert!(unknown.is_empty(), "rows of operations that openapi.json does not have: {unknown:?}");
    for row in &rows {
        let operation = document.operation(row.id);
        let fits = shape(row.calls[0].path.split('?').next().unwrap_or_default()) == shape(&operation.path);
        assert!(fits, "{}: {} is not {}", row.id, row.calls[0].path, operation.path);
        assert!(operation.says["requestBody"]["required"] != true || row.has_body(), "{} takes a body", row.id);
    }
}

/// What is chosen in a path does not matter: `{username}`, `$user`, `me`.
fn shape(path: &str) -> (usize, String) {
    let verb = path.rsplit_once(':').map_or("", |(_, verb)| verb);
    (path.split('/').count(), verb.to_owned())
}

#[tokio::test]
async fn people_are_answered_as_the_table_says() {
    World::dev().await.fill(Group::People).await;
}

#[tokio::test]
async fn secrets_are_answered_as_the_table_says() {
    World::dev().await.fill(Group::Secrets).await;
}

#[tokio::test]
async fn the_system_is_answered_as_the_table_says() {
    World::dev().await.fill(Group::System).await;
}

#[tokio::test]
async fn leases_are_answered_as_the_table_says() {
    World::with_leases().await.fill(Group::Leases).await;
}

#[tokio::test]
async fn the_seal_is_answered_as_the_table_says() {
    World::with_shares().await.fill(Group::Seal).await;
}

impl Row {
    fn has_body(&self) -> bool {
        self.file.is_some() || !self.calls[0].body.is_null()
    }
}

impl World {
    /// Every cell of a group's rows.
    async fn fill(&self, group: Group) {
        let rows: Vec<_> = rows().into_iter().filter(|row| row.group == group).collect();
        let mut wrong = Vec::new();
        for row in &rows {
            self.fill_row(row, &Actor::ALL.map(|actor| (actor != Actor::Stale).then_some(actor)), &mut wrong).await;
        }
        self.grow_stale().await;
        for row in &rows {
            self.fill_row(row, &[Some(Actor::Stale)], &mut wrong).await;
        }
        assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn fill_row(&self, row: &Row, actors: &[Option<Actor>], wrong: &mut Vec<String>) {
        let operation = self.document.operation(row.id);
        let mut things: Vec<Things> = vec![Things::new(); row.calls.len()];
        if let Some(media) =
            operation.says["requestBody"]["content"].get("application/json").filter(|_| row.file.is_none())
        {
            let body = self.body(&row.calls[0].body, &mut things[0]).await;
            let errors = self.document.validator(&media["schema"]);
            let errors = errors.iter_errors(&body).map(|error| format!("{}: {error}", row.id));
            wrong.extend(errors);
        }
        for actor in actors.iter().flatten() {
            let mut refusals: Vec<(u16, Value)> = Vec::new();
            for (call, things) in row.calls.iter().zip(&mut things) {
                let answer = self.call(row, operation, call, *actor, things).await;
                let cell = row.cells[*actor as usize];
                let expected = if cell == "-" { call.answer } else { cell };
                // A page for people names no type.
                let of_page = |expected: &'static str| expected.split(' ').next().unwrap_or_default();
                let expected = if answer.body.is_null() { of_page(expected) } else { expected };
                let told = told(&answer);
                let named = format!("{} {} {} as {actor:?}", row.id, operation.method, call.path);
                if told != expected {
                    wrong.push(format!("{named}: {told}, not {expected}: {:.300}", answer.text));
                }
                if let Some(error) = self.document.against(operation, &answer) {
                    wrong.push(format!("{named}: {told} is not as described: {error:.600}"));
                }
                wrong.extend(self.document.unlisted(&answer).map(|what| format!("{named}: {what}")));
                if cell != "-" {
                    refusals.push(answer.likeness());
                } else if answer.status.is_success() && operation.method != reqwest::Method::GET {
                    // What was done to them is done; whoever comes next gets others.
                    things.clear();
                    match row.after {
                        After::Nothing => {}
                        After::LogIn => self.log_in().await,
                        After::Unseal => self.unseal().await,
                    }
                }
            }
            if refusals.iter().any(|refusal| *refusal != refusals[0]) {
                wrong.push(format!("{} as {actor:?}: refusals that differ: {refusals:?}", row.id));
            }
        }
    }

    async fn call(&self, row: &Row, operation: &Operation, call: &Call, actor: Actor, things: &mut Things) -> Answer {
        let path = self.path(call.path, things).await;
        let body = self.body(&call.body, things).await;
        let request = self.actor(actor).call(operation.method.clone(), &path);
        match row.file {
            Some((media, bytes)) => request.header("content-type", media).body(bytes).await,
            None if body.is_null() => request.await,
            None => request.json(body).await,
        }
    }
}

/// `200`, `403 forbidden`.
fn told(answer: &Answer) -> String {
    let kind = answer.body["detail"][0]["type"].as_str().filter(|_| answer.status.as_u16() >= 400);
    kind.map_or(answer.status.as_u16().to_string(), |kind| format!("{} {kind}", answer.status.as_u16()))
}
