use std::{collections::HashSet, str::FromStr};

use cedar_policy::{Policy, PolicyId, PolicySet, ValidationError, ValidationMode, Validator};
use miette::Diagnostic;

use super::{
    cedar::{SCHEMA, TYPES},
    index::Index,
    places,
};
use crate::{
    ids::{RoleName, UserId},
    limits,
};

/// A text of policies under the name that somebody gave it.
#[derive(Clone, Debug)]
pub struct Document {
    pub name: String,
    pub text: String,
}

/// What is wrong with a document, in our words, and where. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{document}:{line}:{column}: {what}")]
pub struct Problem {
    pub document: String,
    pub line: usize,
    pub column: usize,
    pub what: &'static str,
}

/// The document that is always there, and nobody's name for another.
pub(super) const BUILT_IN: &str = "coffer";
pub(super) const BUILT_IN_TEXT: &str = include_str!("builtin.cedar");

/// In the place of policies that cannot be read: who knows what they forbid.
const CLOSED: &str = r#"
@id("coffer.closed")
forbid (principal, action, resource)
unless { resource in Resource::"sys/policies" };
"#;

/// Policies that were tried against the schema, and can be put in force.
#[derive(Debug)]
pub struct Compiled {
    pub(super) rules: Vec<Rule>,
    pub(super) index: Index,
}

/// One policy, and what is known of it beforehand.
#[derive(Debug)]
pub(super) struct Rule {
    pub policy: Policy,
    /// It reads the context, which is another at every request: no decision of it is kept.
    pub reads_context: bool,
    /// Paths that it names, in its head or its conditions.
    pub places: Vec<String>,
}

impl Compiled {
    /// The built-in policies and these besides.
    pub fn new(documents: &[Document]) -> Result<Self, Vec<Problem>> {
        Self::with(BUILT_IN_TEXT, documents)
    }

    /// Nothing is allowed, except to an admin to mend the policies.
    pub fn closed() -> Self {
        Self::with(&format!("{BUILT_IN_TEXT}{CLOSED}"), &[]).expect("the built-in policies fit the schema")
    }

    fn with(built_in: &str, documents: &[Document]) -> Result<Self, Vec<Problem>> {
        let built_in = Document { name: BUILT_IN.into(), text: built_in.into() };
        let mut problems = Vec::new();
        let mut rules = Vec::new();
        let mut names = HashSet::new();
        for document in std::iter::once(&built_in).chain(documents) {
            if !names.insert(document.name.as_str()) {
                problems.push(Problem::whole(&document.name, "has a name that is taken"));
                continue;
            }
            match compile(document) {
                Ok(policies) => rules.extend(policies.into_iter().map(Rule::new)),
                Err(found) => problems.extend(found),
            }
        }
        if rules.len() > limits::POLICIES {
            problems.push(Problem::whole("", "there are too many policies"));
        }
        let index = Index::new(&rules);
        // Cedar can have several things against one place, for which we have the same words.
        let mut told = HashSet::new();
        problems.retain(|problem| told.insert(problem.clone()));
        if problems.is_empty() { Ok(Self { rules, index }) } else { Err(problems) }
    }
}

impl Rule {
    fn new(policy: Policy) -> Self {
        let places = policy.entity_literals().into_iter().filter(|uid| *uid.type_name() == TYPES.resource);
        let places = places.map(|uid| uid.id().unescaped().to_owned()).collect();
        let reads_context = policy.to_json().map_or(true, |json| mentions_context(&json));
        Self { policy, reads_context, places }
    }
}

/// The policies of one document, named `<document>/<n>` unless they are built in.
fn compile(document: &Document) -> Result<Vec<Policy>, Vec<Problem>> {
    let Document { name, text } = document;
    if text.len() > limits::POLICY_BYTES {
        return Err(vec![Problem::whole(name, "is too long")]);
    }
    let at = |diagnostic: &dyn Diagnostic, what| {
        let offset = diagnostic.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
        let (line, column) = place(text, offset);
        Problem { document: name.clone(), line, column, what }
    };
    let set = PolicySet::from_str(text).map_err(|errors| {
        errors.iter().map(|error| at(error, "is not a policy that can be read")).collect::<Vec<_>>()
    })?;
    if set.templates().next().is_some() {
        return Err(vec![Problem::whole(name, "has a policy with slots: name the principal and the resource")]);
    }
    let validation = Validator::new(SCHEMA.clone()).validate(&set, ValidationMode::Strict);
    let errors = validation.validation_errors().map(|error| at(error, words(error)));
    let warnings =
        validation.validation_warnings().map(|warning| at(warning, "can never apply, or misleads who reads it"));
    let mut problems: Vec<Problem> = errors.chain(warnings).collect();
    let mut policies: Vec<&Policy> = set.policies().collect();
    // Cedar numbers them in the order of the text.
    policies.sort_by_key(|policy| policy.id().to_string().strip_prefix("policy").and_then(|n| n.parse::<usize>().ok()));
    if policies.iter().any(|policy| names_nobody(policy)) {
        problems.push(Problem::whole(
            name,
            "names a user, role, group or path that cannot exist: a path has no / at its ends",
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let named = |(at, policy): (usize, &Policy)| {
        let id = match policy.annotation("id") {
            Some(id) if name == BUILT_IN => id.to_owned(),
            _ => format!("{name}/{}", at + 1),
        };
        policy.new_id(PolicyId::new(id))
    };
    Ok(policies.into_iter().enumerate().map(named).collect())
}

impl Problem {
    /// Not of one place.
    pub(super) fn whole(document: &str, what: &'static str) -> Self {
        Self { document: document.to_owned(), line: 1, column: 1, what }
    }
}

fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn words(error: &ValidationError) -> &'static str {
    match error {
        ValidationError::UnrecognizedEntityType(_) => "names a kind of entity that there is not",
        ValidationError::UnrecognizedActionId(_) => "names an action that there is not",
        ValidationError::UnexpectedType(_) | ValidationError::IncompatibleTypes(_) => {
            "compares or combines what has different types"
        }
        ValidationError::UnsafeAttributeAccess(_) | ValidationError::UnsafeOptionalAttributeAccess(_) => {
            "reads an attribute that there is not"
        }
        ValidationError::UndefinedFunction(_) | ValidationError::WrongNumberArguments(_) => {
            "calls a function that there is not, or with other arguments than it takes"
        }
        ValidationError::FunctionArgumentValidation(_) | ValidationError::NonLitExtConstructor(_) => {
            "gives a function an argument that it cannot take"
        }
        _ => "does not fit the schema",
    }
}

/// A name that no request can ever have makes a `forbid` that looks as if it did something.
fn names_nobody(policy: &Policy) -> bool {
    policy.entity_literals().iter().any(|uid| {
        let (kind, id) = (uid.type_name(), uid.id().unescaped());
        (*kind == TYPES.resource && !places::is_canonical(id))
            || (*kind == TYPES.role && RoleName::parse(id).is_err())
            || (*kind == TYPES.user && UserId::parse(id).is_err())
            || (*kind == TYPES.group && !id.contains('/'))
    })
}

/// In Cedar's JSON of a policy a variable stands as `{"Var": "context"}`.
fn mentions_context(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(members) => {
            members.get("Var").is_some_and(|name| name == "context") || members.values().any(mentions_context)
        }
        serde_json::Value::Array(items) => items.iter().any(mentions_context),
        _ => false,
    }
}
