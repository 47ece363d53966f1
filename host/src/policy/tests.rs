use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::*;
use crate::{
    clock::{Hand, Timestamp},
    ids::{Action as A, Folder, MountName, RoleName, Scope, SecretPath, SessionId, UserId},
};

mod measure;
mod scope;
mod slices;
mod stored;

const NOW: i64 = 1_767_323_045_678;

struct At(String);

impl Resource for At {
    fn path(&self) -> String {
        self.0.clone()
    }
}

fn policies() -> (Policies, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_millis(NOW));
    (Policies::new(clock, || 0), hand)
}

fn with(text: &str) -> Policies {
    let (policies, _) = policies();
    policies.publish(compile(text).unwrap());
    policies
}

fn compile(text: &str) -> Result<Compiled, Vec<Problem>> {
    Compiled::new(&[Document { name: "p".into(), text: text.into() }])
}

fn caller(roles: &[&str]) -> Caller {
    Caller {
        session: SessionId::new(),
        user: UserId::new(),
        roles: roles.iter().map(|role| RoleName::parse(role).unwrap()).collect(),
        groups: vec![],
        scope: None,
        method: MountName::parse("password").unwrap(),
        login_at: Timestamp::from_millis(NOW),
        address: None,
        root: false,
    }
}

fn scoped(roles: &[&str], scope: &str) -> Caller {
    Caller { scope: Some(Scope::parse(scope).unwrap()), ..caller(roles) }
}

fn reason(policies: &Policies, caller: &Caller, action: A, path: &str) -> String {
    policies.explain(caller, action, path).to_string()
}

#[test]
fn each_actor_may_do_what_the_built_in_policies_say_and_no_more() {
    let (policies, _) = policies();
    let (admin, user, both, nobody) = (caller(&["admin"]), caller(&["user"]), caller(&["user", "admin"]), caller(&[]));
    let other = caller(&["other"]);
    let eve = UserId::new();
    let own = format!("secrets/kv/users/{}", user.user);
    let paths = [
        (own.clone(), true),
        (format!("{own}/x"), true),
        (format!("{own}/a/b/c"), true),
        (format!("{own}x"), false),
        (format!("{own}x/y"), false),
        (format!("secrets/kv/users/{eve}"), false),
        (format!("secrets/kv/users/{eve}/x"), false),
        (format!("secrets/kv/users/{eve}/{}", user.user), false),
        (format!("secrets/kv2/users/{}/x", user.user), false),
        (format!("sys/kv/users/{}/x", user.user), false),
        (format!("kv/users/{}", user.user), false),
        ("secrets/kv/users".into(), false),
        ("secrets/kv".into(), false),
        ("secrets".into(), false),
        ("secrets/kv/apps/web/db".into(), false),
        ("sys/setting/auth/github".into(), false),
        ("auth/github/groups".into(), false),
    ];
    for (path, is_own) in &paths {
        for action in A::ALL {
            for _ in 0..2 {
                assert!(policies.allows(&admin, action, path), "admin {action} {path}");
                assert!(policies.allows(&both, action, path), "both {action} {path}");
                assert_eq!(policies.allows(&user, action, path), *is_own, "user {action} {path}");
                assert!(!policies.allows(&nobody, action, path), "nobody {action} {path}");
                assert!(!policies.allows(&other, action, path), "other {action} {path}");
            }
        }
    }
}

#[test]
fn a_path_that_is_not_canonical_is_nobodys() {
    let (policies, _) = policies();
    let user = caller(&["user", "admin"]);
    let own = format!("secrets/kv/users/{}", user.user);
    let variants = [
        String::new(),
        "/".into(),
        format!("/{own}"),
        format!("{own}/"),
        format!("{own}//x"),
        format!("{own}/./x"),
        format!("{own}/../x"),
        format!("{own}/.."),
        "secrets/kv/~/x".into(),
        format!("{own}/a\0"),
        format!("{own}/a\n"),
        format!("{own}/{}", "a".repeat(2000)),
        format!("{own}{}", "/a".repeat(40)),
    ];
    for path in variants {
        assert_eq!(reason(&policies, &user, A::Read, &path), "not a path", "{path:?}");
    }
}

#[test]
fn a_permit_holds_what_was_checked() {
    let (policies, _) = policies();
    let user = caller(&["user"]);
    let own = Folder::parse("kv/~/").unwrap().resolve(&user.user);
    let permit = policies.permit(&user, List, own.clone()).unwrap();
    assert_eq!((permit.resource(), permit.action()), (&own, &List));
    assert_eq!(permit.reason().to_string(), "allowed by coffer.home");
    assert_eq!(permit.caller().user, user.user);

    let path = SecretPath::parse("kv/~/x").unwrap().resolve(&user.user);
    assert!(policies.permit(&user, Put::Either, path).is_ok());
    let verb = Verb { action: A::Use, name: "encrypt".into() };
    let refusal = policies.permit(&user, verb, SecretPath::parse("transit/orders").unwrap()).unwrap_err();
    assert_eq!(refusal.to_string(), "no policy allows");
}

#[test]
fn every_action_of_a_permit_must_be_allowed() {
    let policies = with(r#"permit (principal, action == Action::"create", resource in Resource::"secrets/kv/a");"#);
    let path = || At("secrets/kv/a/b".into());
    let user = caller(&["user"]);
    assert!(policies.permit(&user, Put::Create, path()).is_ok());
    assert!(policies.permit(&user, Put::Update, path()).is_err());
    assert!(policies.permit(&user, Put::Either, path()).is_err());
    struct Nothing;
    impl Action for Nothing {
        fn actions(&self) -> &[A] {
            &[]
        }
    }
    assert!(policies.permit(&caller(&["admin"]), Nothing, path()).is_err());
}

#[test]
fn scope_narrows_what_policies_allow_and_adds_nothing() {
    let (policies, _) = policies();
    let admin = scoped(&["admin"], "read:secrets/kv/apps list:secrets/kv");
    assert!(policies.allows(&admin, A::Read, "secrets/kv/apps/web"));
    assert!(policies.allows(&admin, A::List, "secrets/kv/x"));
    assert_eq!(reason(&policies, &admin, A::Update, "secrets/kv/apps/web"), "scope");
    assert_eq!(reason(&policies, &admin, A::Read, "secrets/kv/apps2"), "scope");
    // The same user without scope, and then again with it: one decision is not the other's.
    let wide = Caller { scope: None, ..admin.clone() };
    assert!(policies.allows(&wide, A::Update, "secrets/kv/apps/web"));
    assert!(!policies.allows(&admin, A::Update, "secrets/kv/apps/web"));
    let user = scoped(&["user"], "read:secrets/kv/apps");
    assert_eq!(reason(&policies, &user, A::Read, "secrets/kv/apps/web"), "no policy allows");
}

#[test]
fn forbid_wins_wherever_it_stands() {
    let policies = with(
        r#"
        forbid (principal, action == Action::"delete", resource in Resource::"secrets/kv/apps");
        forbid (principal, action, resource) when { resource in Resource::"secrets/kv/closed" };
        "#,
    );
    let admin = caller(&["admin"]);
    assert_eq!(reason(&policies, &admin, A::Delete, "secrets/kv/apps/web"), "forbidden by p/1");
    assert_eq!(reason(&policies, &admin, A::Read, "secrets/kv/closed/x"), "forbidden by p/2");
    assert!(policies.allows(&admin, A::Read, "secrets/kv/apps/web"));
    assert!(policies.allows(&admin, A::Delete, "secrets/kv/apps2"));
}

#[test]
fn a_policy_that_fails_is_a_refusal_where_it_is_considered() {
    let policies = with(
        r#"
        forbid (principal, action, resource in Resource::"secrets/kv/a")
        when { context.time * 9223372036854775807 > 0 };
        "#,
    );
    let admin = caller(&["admin"]);
    assert_eq!(reason(&policies, &admin, A::Read, "secrets/kv/a/x"), "failed: p/1");
    assert!(policies.allows(&admin, A::Read, "secrets/kv/b"));
}

#[test]
fn what_is_permitted_by_another_name_is_forbidden_by_a_policy_or_by_doubt_and_never_by_silence() {
    let policies = with(
        r#"
        forbid (principal, action, resource in Resource::"sys/leases/kv/closed");
        forbid (principal, action, resource in Resource::"sys/leases/kv/broken")
        when { context.time * 9223372036854775807 > 0 };
        "#,
    );
    let (user, narrow) = (caller(&["user"]), scoped(&["admin"], "read:secrets/kv"));
    let cases = [
        ("sys/leases/kv/a", false),
        ("sys/leases/kv/closed/a", true),
        ("sys/leases/kv/broken/a", true),
        ("sys/leases/kv/../a", true),
        ("", true),
    ];
    for (path, forbidden) in cases {
        assert_eq!(policies.forbids(&user, A::Delete, path), forbidden, "{path}");
        assert_eq!(policies.forbids(&narrow, A::Delete, path), forbidden, "{path} whatever the scope");
    }
    let root = Caller { root: true, ..narrow };
    assert!(!policies.forbids(&root, A::Delete, "sys/policies/p"));
}

#[test]
fn each_reason_reads_as_the_trail_has_always_had_it() {
    let names = || ["b/2", "a/1"].map(str::to_owned).into_iter().collect();
    let reasons = [
        (Reason::Allowed(names()), "allowed by a/1, b/2"),
        (Reason::Root, "allowed by the root token"),
        (Reason::Forbidden(names()), "forbidden by a/1, b/2"),
        (Reason::Failed(names()), "failed: a/1, b/2"),
        (Reason::NoPolicy, "no policy allows"),
        (Reason::Scope, "scope"),
        (Reason::InvalidPath, "not a path"),
        (Reason::Unaskable, "the question cannot be put"),
        (Reason::NoAction, "nothing is asked for"),
        (Reason::Other("nothing lends"), "nothing lends"),
    ];
    for (reason, text) in reasons {
        assert_eq!(reason.to_string(), text);
        assert_eq!(reason.allows(), text.starts_with("allowed"), "{text}");
    }
}

#[test]
fn policies_go_by_address_time_method_verb_and_age_of_the_login() {
    let (policies, hand) = policies();
    let allow = |head: &str, when: &str| {
        format!(r#"permit (principal in Role::"ops", action, resource in Resource::"{head}") when {{ {when} }};"#)
    };
    let text = [
        allow("near", r#"context.address.known && context.address.ip.isInRange(ip("10.0.0.0/8"))"#),
        allow("any4", r#"context.address.ip.isInRange(ip("0.0.0.0/0"))"#),
        allow("early", "context.time < 1767323046000"),
        allow("password", r#"context.method == "password""#),
        allow("encrypt", r#"context.verb == "encrypt""#),
        allow("young", "context.login_age_ms < 1000"),
    ];
    policies.publish(compile(&text.concat()).unwrap());
    let ops = caller(&["ops"]);
    let from = |ip: &str| Caller { address: Some(ip.parse::<IpAddr>().unwrap()), ..ops.clone() };
    for (ip, near) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("::1", false)] {
        assert_eq!(policies.allows(&from(ip), A::Read, "near/x"), near, "{ip}");
    }
    assert!(!policies.allows(&ops, A::Read, "near/x"), "no address is in no network");
    assert!(!policies.allows(&ops, A::Read, "any4/x"));
    assert!(policies.allows(&from("1.2.3.4"), A::Read, "any4/x"));

    let github = Caller { method: MountName::parse("github").unwrap(), ..ops.clone() };
    assert!(policies.allows(&ops, A::Read, "password/x") && !policies.allows(&github, A::Read, "password/x"));

    let verb = |name: &str| Verb { action: A::Use, name: name.into() };
    assert!(policies.permit(&ops, verb("encrypt"), At("encrypt/x".into())).is_ok());
    assert!(policies.permit(&ops, verb("decrypt"), At("encrypt/x".into())).is_err());
    assert!(policies.permit(&ops, Use, At("encrypt/x".into())).is_err());

    // No decision that read the clock outlives the moment.
    assert!(policies.allows(&ops, A::Read, "early/x") && policies.allows(&ops, A::Read, "young/x"));
    hand.advance(Duration::from_secs(2));
    assert!(!policies.allows(&ops, A::Read, "early/x") && !policies.allows(&ops, A::Read, "young/x"));
}

#[test]
fn groups_are_principals() {
    let policies =
        with(r#"permit (principal in Group::"github/team:42", action, resource in Resource::"secrets/kv/a");"#);
    let ada = caller(&["user"]);
    let member = Caller { groups: vec!["github/team:42".into()], ..ada.clone() };
    assert!(policies.allows(&member, A::Read, "secrets/kv/a"));
    assert!(!policies.allows(&ada, A::Read, "secrets/kv/a"), "a decision is kept for these groups only");
}

#[test]
fn a_user_is_named_by_id() {
    let ada = caller(&["user"]);
    let policies = with(&format!(r#"permit (principal == User::"{}", action, resource);"#, ada.user));
    assert!(policies.allows(&ada, A::Manage, "sys/x"));
    assert!(!policies.allows(&caller(&["user"]), A::Manage, "sys/x"));
}

#[test]
fn other_policies_are_in_force_at_once() {
    let (policies, _) = policies();
    let ada = caller(&["ops"]);
    assert!(!policies.allows(&ada, A::Read, "secrets/kv/a"));
    policies.publish(compile(r#"permit (principal in Role::"ops", action, resource);"#).unwrap());
    assert!(policies.allows(&ada, A::Read, "secrets/kv/a"));
    policies.publish(Compiled::new(&[]).unwrap());
    assert!(!policies.allows(&ada, A::Read, "secrets/kv/a"));
}

#[test]
fn a_decision_is_kept_until_the_generation_moves() {
    let generation = Arc::new(AtomicU64::new(0));
    let told = generation.clone();
    let (clock, _) = Clock::manual(Timestamp::from_millis(NOW));
    let policies = Policies::new(clock, move || told.load(Ordering::SeqCst));
    let (ada, rules) = (caller(&["admin"]), policies.0.rules.load_full());
    let kept = || rules.kept();
    policies.allows(&ada, A::Read, "secrets/kv/a");
    policies.allows(&ada, A::Read, "secrets/kv/a");
    assert_eq!(kept(), 1);
    generation.fetch_add(1, Ordering::SeqCst);
    policies.allows(&ada, A::Read, "secrets/kv/a");
    assert_eq!(kept(), 2, "asked anew");
}

#[test]
fn a_decision_that_may_have_read_the_context_is_not_kept() {
    let policies = with("forbid (principal, action, resource) when { context.time < 0 };");
    assert!(policies.allows(&caller(&["admin"]), A::Read, "secrets/kv/a"));
    assert_eq!(policies.0.rules.load().kept(), 0);
}

#[test]
fn a_listing_begins_where_permissions_begin() {
    let user = caller(&["user"]);
    let home = format!("secrets/kv/users/{}", user.user);
    let (policies, _) = policies();
    assert_eq!(policies.roots(&user, A::List, "secrets"), std::slice::from_ref(&home));
    assert_eq!(policies.roots(&user, A::List, "secrets/kv2"), [""; 0]);
    assert_eq!(policies.roots(&caller(&["admin"]), A::List, "secrets"), ["secrets"]);
    assert_eq!(policies.roots(&caller(&[]), A::List, "secrets"), [""; 0]);
    let scope = scoped(&["admin"], "list:secrets/kv/a list:secrets/kv/a/b list:secrets/x read:secrets");
    assert_eq!(policies.roots(&scope, A::List, "secrets"), ["secrets/kv/a", "secrets/x"]);

    policies.publish(
        compile(
            r#"
            permit (principal in Role::"user", action == Action::"list", resource in Resource::"secrets/kv/apps");
            permit (principal, action, resource) when { resource in Resource::"secrets/kv/apps/web" };
            permit (principal in Role::"ops", action, resource in Resource::"secrets/kv/ops");
            permit (principal, action == Action::"read", resource in Resource::"secrets/kv/read");
            forbid (principal, action, resource in Resource::"secrets/kv/apps/x");
            "#,
        )
        .unwrap(),
    );
    assert_eq!(policies.roots(&user, A::List, "secrets"), ["secrets/kv/apps".to_owned(), home]);
}

#[test]
fn what_is_wrong_with_a_policy_is_told_with_line_and_column() {
    let cases = [
        ("permit (principal, action, resource)\nwhen { hunter2 };", 2, "is not a policy that can be read"),
        ("permit (principal, action, resource)", 1, "is not a policy that can be read"),
        (
            "permit (principal, action, resource);\npermit (principal in Team::\"a\", action, resource);",
            2,
            "names a kind of entity that there is not",
        ),
        ("\n\npermit (principal, action == Action::\"hunter2\", resource);", 3, "names an action that there is not"),
        (
            "permit (principal, action, resource)\nwhen { context.time > \"hunter2\" };",
            2,
            "compares or combines what has different types",
        ),
        ("permit (principal, action, resource)\nwhen { context.hunter2 };", 2, "reads an attribute that there is not"),
        (
            "permit (principal, action, resource)\nwhen { ip(\"hunter2\").isLoopback() };",
            2,
            "gives a function an argument that it cannot take",
        ),
        (
            "permit (principal in ?principal, action, resource);",
            1,
            "has a policy with slots: name the principal and the resource",
        ),
        (
            "forbid (principal, action, resource in Resource::\"secrets/kv/\");",
            1,
            "names a user, role, group or path that cannot exist: a path has no / at its ends",
        ),
        (
            "forbid (principal in Role::\"Admin\", action, resource);",
            1,
            "names a user, role, group or path that cannot exist: a path has no / at its ends",
        ),
        (
            "forbid (principal == User::\"ada\", action, resource);",
            1,
            "names a user, role, group or path that cannot exist: a path has no / at its ends",
        ),
        ("forbid (principal, action, resource)\nwhen { false };", 1, "can never apply, or misleads who reads it"),
    ];
    for (text, line, what) in cases {
        let problems = compile(text).unwrap_err();
        assert_eq!((problems[0].line, problems[0].what), (line, what), "{text}");
        assert!(!problems[0].to_string().contains("hunter2"));
    }
    let long = format!("// {}\n", "a".repeat(crate::limits::POLICY_BYTES));
    assert_eq!(compile(&long).unwrap_err()[0].what, "is too long");
}

#[test]
fn the_problems_of_all_documents_are_told() {
    let document = |name: &str| Document { name: name.into(), text: "permit".into() };
    let problems = Compiled::new(&[document("a"), document("b")]).unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.document.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn no_document_can_pass_for_a_built_in_policy() {
    let text = r#"@id("coffer.admin") forbid (principal, action, resource);"#;
    let (policies, _) = policies();
    policies.publish(Compiled::new(&[Document { name: "x".into(), text: text.into() }]).unwrap());
    assert_eq!(reason(&policies, &caller(&["admin"]), A::Read, "sys/x"), "forbidden by x/1");
    let two = |name: &str| Document { name: name.into(), text: "permit (principal, action, resource);".into() };
    assert!(Compiled::new(&[two("coffer")]).is_err());
    assert!(Compiled::new(&[two("a"), two("a")]).is_err());
}
