//! A scope only takes away.

use proptest::prelude::*;

use super::*;

fn scope() -> impl Strategy<Value = String> {
    let action = prop::sample::select(&["read", "list", "update", "manage"][..]);
    let segment = prop::sample::select(&["secrets", "kv", "kv2", "a", "ab", "sys", "b"][..]);
    let path = prop::collection::vec(segment, 1..4).prop_map(|path| path.join("/"));
    let part = (action, path, prop::bool::ANY).prop_map(|(action, path, slash)| {
        let end = if slash { "/" } else { "" };
        format!("{action}:{path}{end}")
    });
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join(" "))
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(&["secrets", "kv", "kv2", "a", "ab", "sys", "b", "abc"][..]);
    prop::collection::vec(segment, 1..6).prop_map(|path| path.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_narrowed_session_may_nothing_that_the_whole_one_may_not(
        scope in scope(),
        roles in prop::sample::subsequence(&["user", "ops", "admin"], 0..=3),
        paths in prop::collection::vec(path(), 1..8),
    ) {
        let policies = with(
            r#"permit (principal in Role::"ops", action in [Action::"read", Action::"list"], resource in Resource::"secrets/kv");
            forbid (principal, action, resource in Resource::"secrets/kv/a/b");"#,
        );
        let whole = caller(&roles);
        let narrow = Caller { scope: Some(Scope::parse(&scope).unwrap()), ..whole.clone() };
        for path in &paths {
            for action in A::ALL {
                let (few, all) = (policies.allows(&narrow, action, path), policies.allows(&whole, action, path));
                prop_assert!(!few || all, "{} {}", action, path);
                let covered = narrow.scope.as_ref().unwrap().covers(action, path);
                prop_assert_eq!(few, all && covered, "{} {} {}", action, path, scope);
            }
        }
    }

    #[test]
    fn a_scope_within_another_covers_a_part_of_it(one in scope(), other in scope(), paths in prop::collection::vec(path(), 1..8)) {
        let (one, other) = (Scope::parse(&one).unwrap(), Scope::parse(&other).unwrap());
        prop_assert!(one.is_within(&one));
        prop_assert_eq!(&Scope::parse(&one.to_string()).unwrap(), &one);
        for path in &paths {
            for action in A::ALL {
                if one.is_within(&other) && one.covers(action, path) {
                    prop_assert!(other.covers(action, path), "{} within {} at {} {}", one, other, action, path);
                }
            }
        }
    }
}
