//! Policies that are stored, changed and mended.

use std::sync::Arc;

use super::*;
use crate::{
    barrier::{Barrier, Writes, layout::Prefix},
    fence::{Counter, Fence},
    ids::PolicyName,
    limits,
    policy::{Change, Error, PolicyPath, Read, stored::Text},
    storage::Memory,
};

struct Node {
    policies: Policies,
    fence: Fence,
    barrier: Barrier,
}

fn nodes() -> [Node; 2] {
    let (clock, _) = Clock::manual(Timestamp::from_millis(NOW));
    let barrier = Barrier::for_test(Arc::new(Memory::default()), clock.clone());
    [(), ()].map(|()| {
        let fence = Fence::new(barrier.clone(), clock.clone());
        Node { policies: Policies::open(&barrier, fence.clone(), clock.clone()), fence, barrier: barrier.clone() }
    })
}

fn path(name: &str) -> PolicyPath {
    PolicyPath(PolicyName::parse(name).unwrap())
}

fn change(text: Option<&str>) -> Change {
    Change { text: text.map(str::to_owned), expected: None, dry_run: false, force: false }
}

impl Node {
    async fn change(&self, caller: &Caller, name: &str, change: Change) -> Result<Option<Policy>, Error> {
        self.fence.ask().await.unwrap();
        self.policies.refresh().await.unwrap();
        let permit = self.policies.permit(caller, Put::Either, path(name)).expect("may change policies");
        self.policies.change(&permit, change).await
    }

    async fn put(&self, caller: &Caller, name: &str, text: &str) -> Result<Option<Policy>, Error> {
        self.change(caller, name, change(Some(text))).await
    }

    async fn allows(&self, caller: &Caller, path: &str) -> bool {
        self.fence.ask().await.unwrap();
        self.policies.refresh().await.unwrap();
        self.policies.allows(caller, A::Read, path)
    }
}

const OPS: &str = r#"permit (principal in Role::"ops", action, resource in Resource::"secrets/kv/a");"#;

#[tokio::test]
async fn a_change_is_in_force_on_every_node_that_has_asked() {
    let [one, other] = nodes();
    let (admin, ops) = (caller(&["admin"]), caller(&["ops"]));
    assert!(!one.allows(&ops, "secrets/kv/a").await && !other.allows(&ops, "secrets/kv/a").await);
    let put = one.put(&admin, "ops", OPS).await.unwrap().unwrap();
    assert_eq!((put.version, put.updated_by), (1, Some(admin.user.clone())));
    assert!(one.allows(&ops, "secrets/kv/a/b").await && other.allows(&ops, "secrets/kv/a/b").await);
    assert!(other.change(&admin, "ops", change(None)).await.unwrap().is_none());
    assert!(!one.allows(&ops, "secrets/kv/a").await && !other.allows(&ops, "secrets/kv/a").await);
    assert!(matches!(one.change(&admin, "ops", change(None)).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_change_rests_on_the_version_that_it_names() {
    let [one, other] = nodes();
    let admin = caller(&["admin"]);
    let expecting = |expected| Change { expected: Some(expected), ..change(Some(OPS)) };
    assert!(matches!(one.change(&admin, "ops", expecting(1)).await, Err(Error::Conflict)));
    one.change(&admin, "ops", expecting(0)).await.unwrap();
    assert!(matches!(other.change(&admin, "ops", expecting(0)).await, Err(Error::Conflict)));
    assert_eq!(other.change(&admin, "ops", expecting(1)).await.unwrap().unwrap().version, 2);
}

#[tokio::test]
async fn what_is_only_tried_is_neither_stored_nor_in_force() {
    let [one, other] = nodes();
    let (admin, ops) = (caller(&["admin"]), caller(&["ops"]));
    let tried = Change { dry_run: true, ..change(Some(OPS)) };
    assert_eq!(one.change(&admin, "ops", tried).await.unwrap().unwrap().text, OPS);
    let wrong = Change { dry_run: true, ..change(Some("permit")) };
    assert!(matches!(one.change(&admin, "ops", wrong).await, Err(Error::Problems(_))));
    assert!(!one.allows(&ops, "secrets/kv/a").await && !other.allows(&ops, "secrets/kv/a").await);
}

#[tokio::test]
async fn a_text_that_is_wrong_leaves_all_as_it_was() {
    let [one, _] = nodes();
    let (admin, ops) = (caller(&["admin"]), caller(&["ops"]));
    one.put(&admin, "ops", OPS).await.unwrap();
    let Err(Error::Problems(problems)) = one.put(&admin, "ops", "\n  permit (").await else { panic!() };
    assert_eq!((problems[0].line, problems[0].document.as_str()), (2, "ops"));
    let long = "a".repeat(limits::POLICY_BYTES + 1);
    assert!(matches!(one.put(&admin, "ops", &long).await, Err(Error::Problems(_))));
    assert!(one.allows(&ops, "secrets/kv/a").await);
}

#[tokio::test]
async fn what_is_built_in_is_shown_and_stays() {
    let [one, _] = nodes();
    let admin = caller(&["admin"]);
    assert!(matches!(one.put(&admin, "coffer", OPS).await, Err(Error::BuiltIn)));
    assert!(matches!(one.change(&admin, "coffer", change(None)).await, Err(Error::BuiltIn)));
    let permit = one.policies.permit(&admin, Read, path("coffer")).unwrap();
    let shown = one.policies.get(&permit).await.unwrap();
    assert!(shown.is_built_in() && shown.text.contains("coffer.admin"));
}

#[tokio::test]
async fn there_are_no_more_texts_than_can_be_read() {
    let [one, _] = nodes();
    let admin = caller(&["admin"]);
    let mut writes = Writes::default();
    let view = one.barrier.view(Prefix::Policy);
    for at in 0..limits::POLICY_TEXTS {
        let text = Text { text: String::new(), number: 1, updated_at: Timestamp::from_millis(1), updated_by: None };
        view.put(&mut writes, &format!("p{at}"), &text, None);
    }
    one.barrier.commit(writes).await.unwrap();
    assert!(matches!(one.put(&admin, "one-more", OPS).await, Err(Error::TooMany)));
    one.put(&admin, "p7", OPS).await.unwrap();
    one.change(&admin, "p8", change(None)).await.unwrap();
    one.put(&admin, "one-more", OPS).await.unwrap();
}

/// Who would be shut out, and whether that is noticed.
#[tokio::test]
async fn nobody_locks_out_whoever_could_take_it_back() {
    let everybody = "forbid (principal, action, resource);";
    let here = r#"forbid (principal, action, resource in Resource::"sys/policies");"#;
    let admins = r#"forbid (principal in Role::"admin", action in [Action::"create", Action::"update"], resource);"#;
    let elsewhere = r#"forbid (principal in Role::"admin", action, resource)
        unless { context.address.known && context.address.ip.isInRange(ip("10.0.0.0/8")) };"#;
    let at = |ip: &str| Caller { address: Some(ip.parse().unwrap()), ..caller(&["admin"]) };
    let (inside, outside) = (at("10.1.2.3"), at("192.0.2.1"));
    let officer = caller(&["officer"]);
    let root = Caller { root: true, ..caller(&["admin"]) };
    let cases = [
        (&inside, everybody, true),
        (&inside, here, true),
        (&inside, admins, true),
        (&inside, elsewhere, false),
        (&outside, elsewhere, true),
        (&officer, admins, true),
        (&officer, r#"forbid (principal in Role::"officer", action, resource);"#, true),
        (&officer, r#"forbid (principal in Role::"user", action, resource);"#, false),
        (&root, everybody, true),
        (&root, r#"forbid (principal in Role::"user", action, resource);"#, false),
    ];
    for (who, text, noticed) in cases {
        let [one, other] = nodes();
        let may = r#"permit (principal in Role::"officer", action, resource in Resource::"sys/policies");"#;
        one.put(&caller(&["admin"]), "officers", may).await.unwrap();
        // A scope takes away from this session alone.
        let narrow =
            Caller { scope: Some(Scope::parse("create:sys/policies update:sys/policies").unwrap()), ..who.clone() };
        for who in [who, &narrow] {
            let put = one.put(who, "x", text).await;
            assert_eq!(matches!(put, Err(Error::LockedOut)), noticed, "{text}: {put:?}");
        }
        let forced = Change { force: true, ..change(Some(text)) };
        one.change(who, "x", forced).await.unwrap();
        // Whoever holds shares of the root key is never locked out.
        other.change(&root, "x", change(None)).await.unwrap();
        assert!(other.allows(&caller(&["admin"]), "sys/x").await);
    }
}

#[tokio::test]
async fn taking_away_the_permit_by_which_it_is_taken_away_is_noticed() {
    let [one, _] = nodes();
    let officer = caller(&["officer"]);
    let may = r#"permit (principal in Role::"officer", action, resource in Resource::"sys/policies");"#;
    one.put(&caller(&["admin"]), "officers", may).await.unwrap();
    assert!(matches!(one.change(&officer, "officers", change(None)).await, Err(Error::LockedOut)));
    one.change(&caller(&["admin"]), "officers", change(None)).await.unwrap();
}

#[tokio::test]
async fn policies_that_cannot_be_read_allow_nothing_but_to_mend_them() {
    let [one, other] = nodes();
    let (admin, ops) = (caller(&["admin"]), caller(&["ops"]));
    one.put(&admin, "ops", OPS).await.unwrap();
    let mut writes = Writes::default();
    let text = r#"forbid (principal in Team::"x", action, resource);"#.to_owned();
    let text = Text { text, number: 1, updated_at: Timestamp::from_millis(1), updated_by: None };
    one.barrier.view(Prefix::Policy).put(&mut writes, "newer", &text, None);
    one.fence.raise(&mut writes, Counter::Policies);
    one.barrier.commit(writes).await.unwrap();
    for node in [&one, &other] {
        assert!(!node.allows(&ops, "secrets/kv/a").await && !node.allows(&admin, "secrets/kv/a").await);
        assert!(!node.allows(&admin, "sys/policiesx").await);
        assert!(node.allows(&admin, "sys/policies/newer").await && !node.allows(&ops, "sys/policies/newer").await);
    }
    one.change(&admin, "newer", change(None)).await.unwrap();
    assert!(one.allows(&ops, "secrets/kv/a").await && other.allows(&admin, "secrets/kv/a").await);
}

#[test]
fn a_judgement_names_what_decides_it() {
    let policies = with(
        r#"permit (principal in Role::"ops", action, resource in Resource::"secrets/kv");
        forbid (principal, action, resource in Resource::"secrets/kv/x") when { context.time > 0 };
        permit (principal == User::"aaaaaaaaaaaaaaaaaaaaaaaa", action, resource);
        permit (principal in Group::"github/team:1", action, resource) when { principal in Role::"dev" };"#,
    );
    let ops = caller(&["ops"]);
    let judged = |path: &str| {
        let found = policies.judge(&ops, A::Read, path, "");
        (found.allowed, found.policies, found.conditional)
    };
    assert_eq!(judged("secrets/kv/a"), (true, vec!["p/1".to_owned()], false));
    assert_eq!(judged("secrets/kv/x/y"), (false, vec!["p/2".to_owned()], true));
    assert_eq!(judged("secrets/other"), (false, vec![], false));
    assert_eq!(judged("secrets//kv"), (false, vec![], false));
    let root = Caller { root: true, ..caller(&["admin"]) };
    let found = policies.judge(&root, A::Update, "sys/policies/p", "");
    assert!(found.allowed && found.policies.is_empty(), "the root token is no policy: {:?}", found.policies);
    let named = policies.principals();
    let role = |name: &str| crate::policy::Principal::Role(RoleName::parse(name).unwrap());
    for named_so in
        [role("admin"), role("user"), role("ops"), role("dev"), crate::policy::Principal::Group("github/team:1".into())]
    {
        assert!(named.contains(&named_so), "{named_so:?}");
    }
    assert!(policies.names_role(&RoleName::parse("dev").unwrap()));
    assert!(!policies.names_role(&RoleName::parse("none").unwrap()));
}
