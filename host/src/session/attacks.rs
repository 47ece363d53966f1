//! The tests of whoever can read or write the stores, and of children that want more.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    Error, Session, Tokens,
    testing::{Bench, IDLE, Kept},
};
use crate::ids::{Scope, UserId};

/// Everything that a session allows, and to whom.
fn rights(session: &Session) -> String {
    let Session { id, user, scope, addresses, max_uses, groups, absolute_end, expires_at, login_at, .. } = session;
    format!("{id} {user} {scope:?} {addresses:?} {max_uses:?} {groups:?} {absolute_end} {expires_at} {login_at}")
}

/// A field of a hash and its value.
type Field = (Vec<u8>, Vec<u8>);

fn fields(kept: &Kept) -> (String, Vec<Field>) {
    let Kept::Hash(key, values) = kept else { panic!("a hash") };
    (key.clone(), values.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

fn hash(key: &str, fields: &[Field]) -> Kept {
    Kept::Hash(key.to_owned(), fields.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect())
}

/// Dead, or exactly what it was; and never anything but a clear answer.
async fn dead_or_the_same(bench: &Bench, tokens: &Tokens, what: &str) {
    match bench.use_once(&tokens.access).await {
        Ok(session) => assert_eq!(rights(&session), rights(&tokens.session), "{what}"),
        Err(Error::Unknown) => {}
        Err(other) => panic!("{what}: {other}"),
    }
    match &tokens.refresh {
        None => {}
        Some(_) => match bench.renew(&tokens.refresh).await {
            Ok(next) => {
                assert_eq!(next.session.id, tokens.session.id, "{what}");
                assert_eq!(next.session.absolute_end, tokens.session.absolute_end, "{what}");
            }
            Err(Error::Unknown | Error::Reuse(_)) => {}
            Err(other) => panic!("{what}: {other}"),
        },
    }
}

async fn unlike(bench: &Bench) -> [Tokens; 2] {
    let narrow = bench.login_with(|new| {
        new.scope = Some(Scope::parse("read:secrets/kv").unwrap());
        new.addresses = None;
    });
    let narrow = narrow.await;
    bench.hand.advance(Duration::from_secs(2));
    [narrow, bench.login().await]
}

#[tokio::test]
async fn every_field_copied_swapped_emptied_or_removed_gives_nothing() {
    let bench = Bench::redis().await;
    let names: Vec<_> = {
        let tokens = bench.login().await;
        fields(&bench.keep(&tokens.session.id).await).1.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names.len(), 8);
    for which in 0..1_usize << 8 {
        // Every set of fields, not only one at a time: what belongs together might open together.
        let [one, two] = unlike(&bench).await;
        let (key_one, fields_one) = fields(&bench.keep(&one.session.id).await);
        let (key_two, fields_two) = fields(&bench.keep(&two.session.id).await);
        let (mut changed_one, mut changed_two) = (fields_one.clone(), fields_two.clone());
        for at in (0..8).filter(|at| which >> at & 1 == 1) {
            let other = fields_two.iter().find(|(name, _)| *name == changed_one[at].0).unwrap().1.clone();
            let place = changed_two.iter().position(|(name, _)| *name == fields_one[at].0).unwrap();
            changed_two[place].1 = fields_one[at].1.clone();
            changed_one[at].1 = other;
        }
        bench.put_back(&hash(&key_one, &changed_one)).await;
        bench.put_back(&hash(&key_two, &changed_two)).await;
        dead_or_the_same(&bench, &one, &format!("swapped {which:08b}")).await;
        dead_or_the_same(&bench, &two, &format!("swapped {which:08b}")).await;
    }
    for at in 0..8 {
        for empty in [true, false] {
            let [one, _] = unlike(&bench).await;
            let (key, mut changed) = fields(&bench.keep(&one.session.id).await);
            let name = changed[at].0.clone();
            if empty {
                changed[at].1.clear()
            } else {
                drop(changed.remove(at))
            }
            bench.put_back(&hash(&key, &changed)).await;
            // Each digest stands twice, and a token is good only if it equals both.
            if [&b"a"[..], b"r", b"rev", b"sealed"].contains(&&name[..]) {
                assert!(bench.find(&one.access).await.is_err() && bench.renew(&one.refresh).await.is_err());
            }
            dead_or_the_same(&bench, &one, "emptied").await;
        }
    }
}

#[tokio::test]
async fn a_whole_family_under_the_name_of_another_gives_nothing() {
    for bench in Bench::both().await {
        let [one, two] = unlike(&bench).await;
        let moved = match (bench.keep(&one.session.id).await, bench.keep(&two.session.id).await) {
            (Kept::Row(key, _), Kept::Row(_, entry)) => Kept::Row(key, entry),
            (Kept::Hash(key, _), Kept::Hash(_, values)) => Kept::Hash(key, values),
            _ => unreachable!(),
        };
        bench.put_back(&moved).await;
        assert!(matches!(bench.find(&one.access).await, Err(Error::Unknown)));
        assert!(matches!(bench.renew(&one.refresh).await, Err(Error::Unknown)));
        bench.find(&two.access).await.unwrap();
        // Another server's namespace on the same Redis is another family as well.
        if let (Some(_), Kept::Hash(_, values)) = (&bench.link, bench.keep(&two.session.id).await) {
            let elsewhere = Bench::redis().await;
            let key = format!("{}:{{{}}}", elsewhere.link.as_ref().unwrap().namespace(), two.session.id);
            elsewhere.put_back(&Kept::Hash(key, values)).await;
            assert!(matches!(elsewhere.find(&two.access).await, Err(Error::Unknown)));
        }
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_a_session_that_is_not_there() {
    let bench = Bench::redis().await;
    let link = bench.link.as_ref().unwrap();
    let tokens = bench.login().await;
    let found = bench.find(&tokens.access).await.unwrap();
    let key = format!("{}:{{{}}}", link.namespace(), tokens.session.id);
    link.command(&[b"SET", key.as_bytes(), b"junk"]).await.unwrap();
    bench.hand.advance(Duration::from_secs(5));
    assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    assert!(matches!(bench.sessions.spend(&found).await, Err(Error::Unknown)));
    assert!(matches!(bench.renew(&tokens.refresh).await, Err(Error::Unknown)));
    bench.sessions.end(&tokens.session.id).await.unwrap();
}

#[tokio::test]
async fn what_was_put_back_brings_back_no_ending_no_branch_and_no_epoch() {
    for bench in Bench::both().await {
        let tokens = bench.login().await;
        let before = bench.keep(&tokens.session.id).await;
        // A renewal: neither branch lives.
        let next = bench.renew(&tokens.refresh).await.unwrap();
        let after = bench.keep(&tokens.session.id).await;
        bench.put_back(&before).await;
        for access in [&tokens.access, &next.access] {
            assert!(matches!(bench.find(access).await, Err(Error::Unknown)));
        }
        for refresh in [&tokens.refresh, &next.refresh] {
            assert!(matches!(bench.renew(refresh).await, Err(Error::Unknown)));
        }
        // The present state is the present state.
        bench.put_back(&after).await;
        bench.find(&next.access).await.unwrap();
        // An ending.
        bench.sessions.end(&tokens.session.id).await.unwrap();
        for kept in [&before, &after] {
            bench.put_back(kept).await;
            assert!(matches!(bench.find(&next.access).await, Err(Error::Unknown)));
            assert!(matches!(bench.renew(&next.refresh).await, Err(Error::Unknown)));
        }
        // The record of before its own password change.
        let tokens = bench.login().await;
        let session = bench.find(&tokens.access).await.unwrap();
        let before = bench.keep(&session.id).await;
        bench.sessions.end_others(&session).await.unwrap();
        bench.find(&tokens.access).await.unwrap();
        bench.put_back(&before).await;
        bench.hand.advance(Duration::from_secs(2));
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    }
}

#[tokio::test]
async fn a_thief_of_both_stores_learns_nobodys_name_token_or_address() {
    for bench in Bench::both().await {
        let user = UserId::new();
        let tokens = bench.sessions.create(bench.new_session(&user).await).await.unwrap();
        bench.use_once(&tokens.access).await.unwrap();
        let next = bench.renew(&tokens.refresh).await.unwrap();
        let limited = bench.login_with(|new| new.max_uses = Some(70)).await;
        bench.use_once(&limited.access).await.unwrap();
        let dump = bench.dump().await;
        assert!(dump.len() > 1000);
        let mut secret: Vec<String> = ["ada-the-subject", "canary", "192.0.2.77", "password"].map(str::to_owned).into();
        for pair in [&tokens, &next, &limited] {
            for token in [Some(&pair.access), pair.refresh.as_ref()].into_iter().flatten() {
                let text = token.reveal();
                secret.extend([text.clone(), text[21..49].to_owned()]);
            }
        }
        if bench.link.is_some() {
            // In storage an epoch's key names the user by id; in Redis nothing does.
            secret.push(user.to_string());
        }
        for word in secret {
            assert!(!dump.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
        assert!(!format!("{tokens:?}{next:?}").contains(&tokens.access.reveal()[21..49]));
    }
}

#[tokio::test]
async fn no_operation_leaves_a_key_without_an_end() {
    let bench = Bench::redis().await;
    let link = bench.link.as_ref().unwrap();
    let tokens = bench.login().await;
    let found = bench.find(&tokens.access).await.unwrap();
    bench.renew(&tokens.refresh).await.unwrap();
    let key = format!("{}:{{{}}}", link.namespace(), tokens.session.id);
    let gone = bench.login().await;
    let late = bench.find(&gone.access).await.unwrap();
    let gone_key = format!("{}:{{{}}}", link.namespace(), gone.session.id);
    link.command(&[b"DEL", gone_key.as_bytes()]).await.unwrap();
    bench.hand.advance(Duration::from_secs(5));
    assert!(bench.sessions.spend(&late).await.is_err() && bench.sessions.spend(&found).await.is_err());
    let pattern = format!("{}:*", link.namespace());
    let super::super::shared::Answer::List(keys) = link.command(&[b"KEYS", pattern.as_bytes()]).await.unwrap() else {
        panic!()
    };
    assert_eq!(keys.len(), 3, "a family and the lists of two users: {key}");
    for key in keys.into_iter().map(super::testing::bytes) {
        let left = link.command(&[b"PTTL", &key]).await.unwrap();
        assert!(matches!(left, crate::shared::Answer::Int(1_000..)), "{left:?}");
    }
}

#[tokio::test]
async fn a_child_is_nothing_that_its_parent_is_not() {
    for bench in Bench::both().await {
        let parent = bench.login_with(|new| {
            new.scope = Some(Scope::parse("read:secrets/kv list:secrets/kv").unwrap());
            new.addresses = Some(vec!["10.0.0.0/8".parse().unwrap()]);
        });
        let parent = parent.await;
        let child = bench.child_of(&parent, |_| {}).await.unwrap();
        assert_eq!(child.session.scope, parent.session.scope);
        assert_eq!(child.session.addresses, parent.session.addresses);
        assert_eq!(child.session.parent, Some(parent.session.id.clone()));
        assert!(child.refresh.is_none());
        for wider in ["read:secrets", "delete:secrets/kv"] {
            let made = bench.child_of(&parent, |new| new.scope = Some(Scope::parse(wider).unwrap())).await;
            assert!(matches!(made, Err(Error::Wider(_))));
        }
        for wider in ["0.0.0.0/0", "11.0.0.0/8", "8.0.0.0/6", "::/0"] {
            let made = bench.child_of(&parent, |new| new.addresses = Some(vec![wider.parse().unwrap()])).await;
            assert!(matches!(made, Err(Error::Wider(_))));
        }
        let long = Duration::from_secs(1_000_000);
        let made = bench.child_of(&parent, |new| new.lifetimes.absolute = long).await.unwrap();
        assert_eq!(made.session.absolute_end, parent.session.absolute_end);
        let stranger = bench.child_of(&parent, |new| new.user = UserId::new()).await;
        assert!(matches!(stranger, Err(Error::Wider(_) | Error::Ended)));
        let limited = bench.login_with(|new| new.max_uses = Some(5)).await;
        assert!(matches!(bench.child_of(&limited, |_| {}).await, Err(Error::Wider(_))));
    }
}

#[tokio::test]
async fn a_child_ends_with_its_parent_however_that_ends() {
    for bench in Bench::both().await {
        for how in 0..3 {
            let parent = bench.login().await;
            let child = bench.child_of(&parent, |_| {}).await.unwrap();
            let grandchild = bench.child_of(&child, |new| new.max_uses = Some(3)).await.unwrap();
            bench.use_once(&grandchild.access).await.unwrap();
            // The parent's renewal is nothing to them.
            let next = bench.renew(&parent.refresh).await.unwrap();
            bench.use_once(&child.access).await.unwrap();
            let family = &parent.session.id;
            match how {
                0 => bench.sessions.end(family).await.unwrap(),
                1 => {
                    bench.use_once(&next.access).await.unwrap();
                    assert!(matches!(bench.renew(&parent.refresh).await, Err(Error::Reuse(_))));
                }
                _ => drop(bench.sessions.end_by_token(next.access.reveal()).await.unwrap()),
            }
            for token in [&child.access, &grandchild.access] {
                assert!(matches!(bench.find(token).await, Err(Error::Unknown)));
            }
            assert!(matches!(bench.child_of(&parent, |_| {}).await, Err(Error::Unknown)));
        }
        // A child's end is not its parent's.
        let parent = bench.login().await;
        let child = bench.child_of(&parent, |_| {}).await.unwrap();
        bench.sessions.end(&child.session.id).await.unwrap();
        bench.find(&parent.access).await.unwrap();
        bench.hand.advance(IDLE);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}", at in 0..56_usize) {
        let _ = super::AnyToken::parse(&text);
        let mut token = super::AccessToken::generate(&crate::ids::SessionId::new()).text().reveal().clone();
        token.replace_range(at..=at, "é");
        assert!(super::AnyToken::parse(&token).is_err());
    }
}
