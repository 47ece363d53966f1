//! The index leaves out only what cannot matter.

use std::{mem::discriminant, str::FromStr};

use cedar_policy::{Authorizer, PolicySet};
use proptest::prelude::*;

use super::*;
use crate::policy::{cedar::Question, decide};

const ADA: &str = "aaaaaaaaaaaaaaaaaaaaaaaa";

fn one_of(choices: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(choices)
}

fn policy() -> impl Strategy<Value = String> {
    let effect = one_of(&["permit", "permit", "forbid"]);
    let principal = one_of(&[
        "principal",
        "principal is User",
        r#"principal in Role::"user""#,
        r#"principal in Role::"ops""#,
        r#"principal is User in Role::"ops""#,
        r#"principal in Group::"g/a""#,
        r#"principal == User::"aaaaaaaaaaaaaaaaaaaaaaaa""#,
        r#"principal in User::"aaaaaaaaaaaaaaaaaaaaaaaa""#,
        r#"principal == User::"bbbbbbbbbbbbbbbbbbbbbbbb""#,
    ]);
    let action = one_of(&[
        "action",
        r#"action == Action::"read""#,
        r#"action in Action::"list""#,
        r#"action in [Action::"read", Action::"manage"]"#,
    ]);
    let resource = one_of(&[
        "resource",
        "resource is Resource",
        r#"resource in Resource::"secrets""#,
        r#"resource in Resource::"secrets/kv""#,
        r#"resource == Resource::"secrets/kv""#,
        r#"resource in Resource::"secrets/kv/a""#,
        r#"resource is Resource in Resource::"secrets/kv/a""#,
        r#"resource == Resource::"secrets/kv/a/b""#,
        r#"resource in Resource::"secrets/kv/users/aaaaaaaaaaaaaaaaaaaaaaaa""#,
    ]);
    let condition = one_of(&[
        "",
        "",
        "when { context.time > 5 }",
        "when { context.time * 9223372036854775807 > 0 }",
        r#"unless { context.address.known }"#,
        "when { resource in principal.home }",
        r#"when { resource in Resource::"secrets/kv/a" }"#,
        r#"when { principal in Role::"ops" && context.verb == "" }"#,
    ]);
    (effect, principal, action, resource, condition)
        .prop_map(|(effect, who, what, on, when)| format!("{effect} ({who}, {what}, {on}) {when};\n"))
}

fn asked() -> impl Strategy<Value = (Caller, A, &'static str)> {
    let roles = prop::sample::subsequence(&["user", "ops", "x"], 0..=3);
    let groups = prop::sample::subsequence(&["g/a", "g/b"], 0..=2);
    let path = one_of(&[
        "secrets",
        "secrets/kv",
        "secrets/kv2",
        "secrets/kv/a",
        "secrets/kv/ab",
        "secrets/kv/a/b",
        "secrets/kv/a/b/c",
        "secrets/kv/users/aaaaaaaaaaaaaaaaaaaaaaaa/x",
        "sys/roles/admin",
    ]);
    let address = prop::option::of(Just(IpAddr::from([10, 0, 0, 1])));
    (roles, groups, path, prop::sample::select(&A::ALL[..]), address).prop_map(
        |(roles, groups, path, action, address)| {
            let groups = groups.into_iter().map(str::to_owned).collect();
            (Caller { user: UserId::parse(ADA).unwrap(), groups, address, ..caller(&roles) }, action, path)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_slice_decides_as_the_whole_set_does(
        texts in prop::collection::vec(policy(), 0..12),
        asked in prop::collection::vec(asked(), 1..12),
    ) {
        let text = texts.concat();
        // Some combinations can never apply, and are refused beforehand.
        prop_assume!(compile(&text).is_ok());
        let policies = with(&text);
        let whole = PolicySet::from_str(&format!("{}{text}", include_str!("../builtin.cedar"))).unwrap();
        for (caller, action, path) in asked {
            let question = Question { caller: &caller, action, path, verb: "" };
            let request = question.request(Some(Timestamp::from_millis(NOW))).unwrap();
            let response = Authorizer::new().is_authorized(&request, &whole, &question.entities().unwrap());
            let expected = decide::reason(&response);
            for _ in 0..2 {
                let found = policies.explain(&caller, action, path);
                prop_assert_eq!(discriminant(&found), discriminant(&expected), "{} {} {}", &found, action, path);
            }
        }
    }
}
