//! What a store must do, told once and run on each.

use std::{sync::Arc, time::Duration};

use super::{
    AnyToken, EpochOf, EpochsOf, Error, Narrower, NewSession, OverLimit, PerUser, Record, Refill, Renewal, Tokens,
    Told, Touch, Verdict, Was,
    testing::{ABSOLUTE, Bench, FAMILY, IDLE, on_both_stores, refresh_token},
};
use crate::{
    barrier::Writes,
    ids::{Scope, SessionId, UserId},
};

const MS: Duration = Duration::from_millis(1);

on_both_stores! {
    async fn a_login_is_found_by_its_access_token_and_by_nothing_else(bench) {
        let tokens = bench.login().await;
        let session = bench.find(&tokens.access).await.unwrap();
        assert_eq!(session.user, tokens.session.user);
        assert_eq!(session.groups, ["canary-group"]);
        assert_eq!((tokens.access_expires_in, tokens.refresh_expires_in), (ABSOLUTE, Some(FAMILY)));
        let other = bench.login().await;
        assert_ne!(bench.find(&other.access).await.unwrap().id, session.id);
        // A well-formed token of nobody, and one of a family that is there.
        for id in [SessionId::new(), session.id.clone()] {
            let made_up = super::AccessToken::generate(&id);
            assert!(matches!(bench.sessions.find(&made_up, None).await, Err(Error::Unknown)));
        }
    }

    async fn an_access_token_ends_idle_after_its_last_use(bench) {
        let tokens = bench.login().await;
        bench.hand.advance(IDLE - MS);
        bench.use_once(&tokens.access).await.unwrap();
        bench.hand.advance(IDLE - MS);
        bench.use_once(&tokens.access).await.unwrap();
        bench.hand.advance(IDLE);
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
        // It leaves the refresh token good.
        bench.renew(&tokens.refresh).await.unwrap();
    }

    async fn an_access_token_ends_absolutely_however_it_is_used(bench) {
        let tokens = bench.login().await;
        for _ in 0..ABSOLUTE.as_secs() / 50 - 1 {
            bench.hand.advance(Duration::from_secs(50));
            bench.use_once(&tokens.access).await.unwrap();
        }
        bench.hand.advance(Duration::from_secs(50) - MS);
        let session = bench.use_once(&tokens.access).await.unwrap();
        bench.hand.advance(MS);
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
        // Nor is one that was found a moment before it ended.
        assert!(matches!(bench.sessions.spend(&session).await, Err(Error::Unknown)));
    }

    async fn a_clock_that_is_set_back_prolongs_no_ending(bench) {
        let tokens = bench.login().await;
        bench.sessions.end(&tokens.session.id).await.unwrap();
        bench.hand.set(bench.clock.now());
        bench.hand.set(crate::clock::Timestamp::from_millis(bench.clock.now().millis() - 100_000));
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    }

    async fn a_bound_session_is_refused_elsewhere_and_lives_on(bench) {
        let tokens = bench.login_with(|new| {
            new.addresses = Some(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/64".parse().unwrap()]);
        }).await;
        let token = super::AccessToken::parse(tokens.access.reveal()).unwrap();
        for good in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"] {
            bench.sessions.find(&token, Some(good.parse().unwrap())).await.unwrap();
        }
        for bad in [Some("11.0.0.1".parse().unwrap()), Some("2001:db8:0:1::1".parse().unwrap()), None] {
            assert!(matches!(bench.sessions.find(&token, bad).await, Err(Error::Address)));
        }
        // Whether it has ended is asked first.
        bench.sessions.end(&tokens.session.id).await.unwrap();
        assert!(matches!(bench.sessions.find(&token, None).await, Err(Error::Unknown)));
        let nobody = bench.login_with(|new| new.addresses = Some(Vec::new())).await;
        let token = super::AccessToken::parse(nobody.access.reveal()).unwrap();
        let somewhere = Some("10.1.2.3".parse().unwrap());
        assert!(matches!(bench.sessions.find(&token, somewhere).await, Err(Error::Address)));
    }

    async fn any_token_of_a_family_ends_it(bench) {
        for which in 0..4 {
            let first = bench.login().await;
            let second = bench.renew(&first.refresh).await.unwrap();
            let token = match which {
                0 => &second.access,
                1 => second.refresh.as_ref().unwrap(),
                2 => first.refresh.as_ref().unwrap(),
                _ => &first.access,
            };
            let ended = bench.sessions.end_by_token(token.reveal()).await.unwrap();
            // An access token that was replaced is no longer known, and ends nothing.
            assert_eq!(ended.is_some(), which < 3);
            assert_eq!(bench.find(&second.access).await.is_ok(), which == 3);
        }
        for junk in ["", "cof_s_x", super::AccessToken::generate(&SessionId::new()).text().reveal()] {
            assert_eq!(bench.sessions.end_by_token(junk).await.unwrap(), None);
        }
        assert!(AnyToken::parse("junk").is_err());
        bench.sessions.end(&SessionId::new()).await.unwrap();
    }

    async fn an_epoch_ends_all_that_it_names_and_nothing_else(bench) {
        let tokens = bench.login().await;
        let mount = bench.mount.clone();
        for (of, dies) in [
            (EpochOf::User(UserId::new()), false),
            (EpochOf::Mount(crate::ids::MountId::new()), false),
            (EpochOf::Digest("00".repeat(32)), false),
            (EpochOf::Client(UserId::new()), false),
            (EpochOf::User(tokens.session.user.clone()), true),
        ] {
            bench.raise(of).await;
            assert_eq!(bench.find(&tokens.access).await.is_err(), dies);
        }
        for of in [EpochOf::Everything, EpochOf::Mount(mount), EpochOf::Digest("ab".repeat(32))] {
            let tokens = bench.login().await;
            bench.raise(of).await;
            assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
            assert!(matches!(bench.renew(&tokens.refresh).await, Err(Error::Unknown)));
        }
    }

    async fn of_a_child_that_ends_the_others_its_parents_stay_and_nobody_else(bench) {
        let parent = bench.login().await;
        let child = bench.child_of(&parent, |_| {}).await.unwrap();
        let (below, beside) = (bench.child_of(&child, |_| {}).await.unwrap(), bench.child_of(&parent, |_| {}).await.unwrap());
        let other = bench.sessions.create(bench.new_session(&parent.session.user).await).await.unwrap();
        let session = bench.find(&child.access).await.unwrap();
        let kept = bench.sessions.end_others(&session).await.unwrap();
        assert_eq!(kept, [parent.session.id.clone(), child.session.id.clone()]);
        for gone in [&below, &beside, &other] {
            assert!(matches!(bench.find(&gone.access).await, Err(Error::Unknown)));
        }
        bench.find(&child.access).await.unwrap();
        let next = bench.renew(&parent.refresh).await.unwrap();
        bench.find(&next.access).await.unwrap();
        // It still ends with its parent.
        bench.sessions.end(&parent.session.id).await.unwrap();
        assert!(matches!(bench.find(&child.access).await, Err(Error::Unknown)));
    }

    async fn a_session_that_stays_does_not_outlive_an_ending_that_came_between(bench) {
        let tokens = bench.login().await;
        let session = bench.find(&tokens.access).await.unwrap();
        let mut writes = Writes::default();
        let kept = bench.sessions.end_all_but(&mut writes, &session).await.unwrap();
        bench.raise(EpochOf::User(session.user.clone())).await;
        assert!(matches!(bench.barrier.commit(writes).await, Err(crate::barrier::Error::Conflict)));
        // Not even where somebody goes on regardless.
        bench.sessions.keep(kept, None).await.unwrap();
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
        assert!(matches!(bench.sessions.end_others(&session).await, Err(Error::Unknown)));
    }

    async fn a_login_that_overlaps_an_ending_does_not_survive_it(bench) {
        let user = UserId::new();
        let new = bench.new_session(&user).await;
        bench.raise(EpochOf::User(user.clone())).await;
        assert!(matches!(bench.sessions.create(new).await, Err(Error::Ended)));
        // One that has forgotten to read an epoch is not made at all.
        let epochs = bench.sessions.epochs(&EpochsOf::default()).await.unwrap();
        let forgetful = NewSession { epochs, ..bench.new_session(&user).await };
        assert!(matches!(bench.sessions.create(forgetful).await, Err(Error::Ended)));
        bench.sessions.create(bench.new_session(&user).await).await.unwrap();
    }

    async fn who_ends_the_others_stays(bench) {
        let user = UserId::new();
        let mine = bench.sessions.create(bench.new_session(&user).await).await.unwrap();
        let other = bench.sessions.create(bench.new_session(&user).await).await.unwrap();
        let child = bench.child_of(&mine, |_| {}).await.unwrap();
        let session = bench.find(&mine.access).await.unwrap();
        bench.sessions.end_others(&session).await.unwrap();
        bench.find(&mine.access).await.unwrap();
        assert!(matches!(bench.find(&other.access).await, Err(Error::Unknown)));
        assert!(matches!(bench.find(&child.access).await, Err(Error::Unknown)));
        bench.renew(&mine.refresh).await.unwrap();
    }

    async fn a_user_has_so_many_sessions_and_the_oldest_go(bench) {
        let user = UserId::new();
        let per_user = |over| Some(PerUser { most: 3, over });
        let mut made = Vec::new();
        for _ in 0..5 {
            bench.hand.advance(Duration::from_secs(1));
            let new = bench.new_session(&user).await;
            made.push(bench.sessions.create(NewSession { per_user: per_user(OverLimit::EndOldest), ..new }).await.unwrap());
        }
        let alive = bench.sessions.list(&user).await.unwrap();
        let expected: Vec<_> = made[2..].iter().map(|tokens| tokens.session.id.clone()).collect();
        assert_eq!(alive.iter().map(|summary| summary.id.clone()).collect::<Vec<_>>(), expected);
        let new = bench.new_session(&user).await;
        let refused = bench.sessions.create(NewSession { per_user: per_user(OverLimit::Refuse), ..new }).await;
        assert!(matches!(refused, Err(Error::TooMany)));
    }

    async fn a_child_does_not_push_out_its_own_parents(bench) {
        let root = bench.login().await;
        let per_user = Some(PerUser { most: 3, over: OverLimit::EndOldest });
        let mut parent = root;
        let mut children = Vec::new();
        for _ in 0..6 {
            bench.hand.advance(Duration::from_secs(1));
            children.push(bench.child_of(&parent, |new| new.per_user = per_user).await.unwrap());
            bench.use_once(&parent.access).await.unwrap();
        }
        bench.find(&children[5].access).await.unwrap();
        assert!(matches!(bench.find(&children[3].access).await, Err(Error::Unknown)));
        parent = children.pop().unwrap();
        let refused = bench.child_of(&parent, |new| new.per_user = per_user).await;
        assert!(matches!(refused, Err(Error::TooMany)), "nothing has come of a child that could make room");
        bench.find(&parent.access).await.unwrap();
    }

    async fn what_a_narrow_session_makes_pushes_out_nothing_else(bench) {
        let scope = Some(Scope::parse("read:secrets/kv/apps").unwrap());
        let per_user = Some(PerUser { most: 5, over: OverLimit::EndOldest });
        let user = UserId::new();
        let login = async |scope: Option<Scope>| {
            bench.hand.advance(Duration::from_secs(1));
            let new = bench.new_session(&user).await;
            bench.sessions.create(NewSession { per_user, scope, ..new }).await.unwrap()
        };
        let child = async |of: &Tokens| {
            bench.hand.advance(Duration::from_secs(1));
            bench.child_of(of, |new| (new.per_user, new.scope) = (per_user, scope.clone())).await
        };
        let lives = async |tokens: &Tokens| bench.find(&tokens.access).await.is_ok();
        let (first, second, scoped) = (login(None).await, login(None).await, login(scope.clone()).await);
        // Its children make room for each other, …
        let mut children = Vec::new();
        for _ in 0..6 {
            children.push(child(&scoped).await.unwrap());
        }
        for alive in [&first, &second, &scoped, &children[4], &children[5]] {
            assert!(lives(alive).await);
        }
        assert!(!lives(&children[3]).await);
        // … a child's not even for those of another.
        assert!(matches!(child(&children[4]).await, Err(Error::TooMany)));
        // A login takes the room from them, before it takes it from an older login.
        let third = login(None).await;
        assert!(!lives(&children[4]).await);
        let fourth = login(None).await;
        assert!(!lives(&children[5]).await);
        for alive in [&first, &second, &scoped, &third, &fourth] {
            assert!(lives(alive).await);
        }
        // With none left of its own, a narrow session makes none.
        assert!(matches!(child(&scoped).await, Err(Error::TooMany)));
        // A login's child takes the room of the oldest, as a login does.
        let wide = child(&fourth).await.unwrap();
        assert!(lives(&wide).await && !lives(&first).await);
    }

    async fn a_mount_that_stops_logins_leaves_the_sessions_that_are_there(bench) {
        let tokens = bench.login().await;
        let new = bench.new_session(&tokens.session.user).await;
        let pending = bench.sessions.begin_renewal(&refresh_token(&tokens.refresh), Renewal::default()).await.unwrap();
        let told = Told {
            subject: tokens.session.subject.clone(),
            groups: Vec::new(),
            internal: Vec::new(),
            narrower: Narrower::default(),
            plugin: tokens.session.plugin.clone(),
            epochs: new.epochs.clone(),
        };
        bench.raise(EpochOf::Logins(bench.mount.clone())).await;
        assert!(matches!(bench.sessions.create(new).await, Err(Error::Ended)));
        assert!(matches!(bench.sessions.finish_renewal(pending, told, None).await, Err(Error::Ended)));
        bench.use_once(&tokens.access).await.unwrap();
        bench.renew(&tokens.refresh).await.unwrap();
        bench.login().await;
    }

    async fn looking_at_a_token_costs_it_nothing(bench) {
        let tokens = bench.login_with(|new| new.max_uses = Some(1)).await;
        let look = async |text: &str| {
            bench.sessions.introspect(&AnyToken::parse(text).unwrap()).await.unwrap().map(|session| session.id.clone())
        };
        for _ in 0..3 {
            assert_eq!(look(tokens.access.reveal()).await, Some(tokens.session.id.clone()));
        }
        assert_eq!(bench.sessions.get(&tokens.session.id).await.unwrap().unwrap().user, tokens.session.user);
        bench.use_once(&tokens.access).await.unwrap();
        assert_eq!(look(tokens.access.reveal()).await, None);

        let first = bench.login().await;
        let refresh = |tokens: &super::Tokens| tokens.refresh.as_ref().unwrap().reveal().clone();
        assert!(look(&refresh(&first)).await.is_some());
        let second = bench.renew(&first.refresh).await.unwrap();
        assert!(look(&refresh(&first)).await.is_none() && look(&refresh(&second)).await.is_some());
        // Nor is it an alarm to look at a spent one, or a use of the pair to look at it.
        bench.renew(&first.refresh).await.unwrap();
        bench.sessions.end(&first.session.id).await.unwrap();
        assert!(look(&refresh(&second)).await.is_none());
        assert!(bench.sessions.get(&first.session.id).await.unwrap().is_none());
    }

    async fn no_operation_touches_a_record_that_is_another_or_gone(bench) {
        let store = &bench.sessions.store;
        let tokens = bench.login().await;
        let id = &tokens.session.id;
        let record = store.get(id).await.unwrap().unwrap();
        let touch = Touch {
            rev: record.rev.clone(),
            a: record.a.clone(),
            now: bench.clock.now(),
            until: bench.after(ABSOLUTE),
            idle: IDLE.as_millis() as i64,
            take: Some(64),
        };
        let refill = Refill { rev: record.rev.clone(), from: 0, block: 1, left: 5 };
        let was = Was { rev: "another".to_owned(), unused: false, pair: true };
        let next = Record { rev: "next".to_owned(), ..record.clone() };
        let rewrite = async |was: &Was| store.rewrite(id, was, next.clone(), Writes::default()).await.unwrap();
        assert_eq!(rewrite(&was).await, Verdict::Moved);
        for wrong in [
            Touch { rev: "another".to_owned(), ..touch.clone() },
            Touch { a: "another".to_owned(), ..touch.clone() },
            Touch { now: touch.until, idle: i64::MAX / 4, ..touch.clone() },
            Touch { now: touch.now.after(IDLE), ..touch.clone() },
        ] {
            assert_eq!(store.touch(id, &wrong).await.unwrap(), Verdict::Moved);
        }
        assert_eq!(store.touch(id, &touch).await.unwrap(), Verdict::Empty(0));
        for wrong in [Refill { rev: "another".to_owned(), ..refill.clone() }, Refill { from: 1, ..refill.clone() }] {
            assert_eq!(store.refill(id, &wrong).await.unwrap(), Verdict::Moved);
        }
        assert_eq!(store.get(id).await.unwrap().unwrap(), record);
        assert_eq!(store.refill(id, &refill).await.unwrap(), Verdict::Done);
        assert_eq!(store.touch(id, &touch).await.unwrap(), Verdict::Done);
        let used = store.get(id).await.unwrap().unwrap();
        assert_eq!((used.used, used.left, used.block), (true, 4, 1));
        let right = Was { rev: record.rev.clone(), ..was };
        assert_eq!(rewrite(&Was { unused: true, ..right.clone() }).await, Verdict::Moved);
        store.remove(id).await.unwrap();
        assert_eq!(rewrite(&right).await, Verdict::Moved);
        assert_eq!(store.touch(id, &touch).await.unwrap(), Verdict::Moved);
        assert_eq!(store.refill(id, &Refill { from: 1, ..refill }).await.unwrap(), Verdict::Moved);
        assert_eq!(store.get(id).await.unwrap(), None);
    }

    async fn a_list_shows_what_is_alive_and_what_is_told_of_it(bench) {
        let user = UserId::new();
        let first = bench.sessions.create(bench.new_session(&user).await).await.unwrap();
        let limited = NewSession { max_uses: Some(5), ..bench.new_session(&user).await };
        let limited = bench.sessions.create(limited).await.unwrap();
        bench.login().await;
        bench.use_once(&limited.access).await.unwrap();
        let mut list = bench.sessions.list(&user).await.unwrap();
        list.sort_by_key(|summary| summary.max_uses);
        assert_eq!(list.len(), 2);
        assert_eq!((list[1].max_uses, list[1].uses_left), (Some(5), Some(4)));
        assert_eq!((list[0].device.as_str(), list[0].expires_at), ("canary-device", bench.after(FAMILY)));
        bench.sessions.end(&first.session.id).await.unwrap();
        // An idle session without a refresh token is over; with one it is not.
        bench.hand.advance(IDLE);
        assert!(bench.sessions.list(&user).await.unwrap().is_empty());
    }

    async fn a_copy_in_memory_knows_of_every_ending_of_any_node(bench) {
        bench.fence.ask().await.unwrap();
        let tokens = bench.login().await;
        let one = bench.find(&tokens.access).await.unwrap();
        let two = bench.find(&tokens.access).await.unwrap();
        assert!(Arc::ptr_eq(&one, &two), "read once");
        bench.node().end(&tokens.session.id).await.unwrap();
        // The promise: this node learns of it by its next ask, or stops remembering.
        bench.fence.ask().await.unwrap();
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));

        let tokens = bench.login().await;
        bench.find(&tokens.access).await.unwrap();
        bench.raise(EpochOf::User(tokens.session.user.clone())).await;
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));

        let tokens = bench.login().await;
        bench.find(&tokens.access).await.unwrap();
        bench.node().end(&tokens.session.id).await.unwrap();
        bench.hand.advance(crate::limits::FENCE_STALE);
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));

        let limited = bench.login_with(|new| new.max_uses = Some(3)).await;
        bench.fence.ask().await.unwrap();
        let one = bench.find(&limited.access).await.unwrap();
        assert!(!Arc::ptr_eq(&one, &bench.find(&limited.access).await.unwrap()), "never from memory");
    }
}
