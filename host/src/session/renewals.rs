//! What a renewal is, told once and run on each store.

use std::time::Duration;

use super::{
    EpochOf, EpochsOf, Error, Narrower, Renewal, Told,
    testing::{Bench, FAMILY, IDLE, on_both_stores, refresh_token},
};
use crate::ids::{Scope, UserId};

on_both_stores! {
    async fn renewal_never_moves_the_end_of_the_family(bench) {
        let mut tokens = bench.login().await;
        let end = tokens.session.absolute_end;
        for _ in 0..FAMILY.as_secs() / 500 - 1 {
            bench.hand.advance(Duration::from_secs(500));
            tokens = bench.renew(&tokens.refresh).await.unwrap();
            assert_eq!(tokens.session.absolute_end, end);
        }
        assert_eq!(tokens.access_expires_in, Duration::from_secs(500));
        bench.hand.advance(Duration::from_secs(500));
        assert!(matches!(bench.renew(&tokens.refresh).await, Err(Error::Unknown)));
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    }

    async fn a_renewed_pair_replaces_the_one_before(bench) {
        let first = bench.login().await;
        let second = bench.renew(&first.refresh).await.unwrap();
        assert_eq!(second.session.id, first.session.id);
        assert_eq!(second.session.login_at, first.session.login_at);
        assert!(matches!(bench.find(&first.access).await, Err(Error::Unknown)));
        bench.use_once(&second.access).await.unwrap();
    }

    async fn a_lost_answer_costs_nothing(bench) {
        let first = bench.login().await;
        let lost = bench.renew(&first.refresh).await.unwrap();
        let mut again = bench.renew(&first.refresh).await.unwrap();
        assert!(matches!(bench.find(&lost.access).await, Err(Error::Unknown)));
        for _ in 0..2 {
            again = bench.renew(&first.refresh).await.unwrap();
        }
        bench.find(&again.access).await.unwrap();
        // Three times is enough.
        assert!(matches!(bench.renew(&first.refresh).await, Err(Error::Reuse(_))));
        assert!(matches!(bench.find(&again.access).await, Err(Error::Unknown)));
    }

    async fn a_spent_token_ends_the_family_once_its_pair_is_used(bench) {
        let first = bench.login().await;
        let second = bench.renew(&first.refresh).await.unwrap();
        bench.use_once(&second.access).await.unwrap();
        let Err(Error::Reuse(session)) = bench.renew(&first.refresh).await else { panic!("reuse") };
        assert_eq!(session.user, first.session.user);
        assert!(matches!(bench.find(&second.access).await, Err(Error::Unknown)));
        assert!(matches!(bench.renew(&second.refresh).await, Err(Error::Unknown)));
    }

    async fn a_spent_token_ends_the_family_once_its_pair_would_have_expired(bench) {
        let first = bench.login().await;
        bench.renew(&first.refresh).await.unwrap();
        bench.hand.advance(IDLE);
        assert!(matches!(bench.renew(&first.refresh).await, Err(Error::Reuse(_))));
    }

    async fn every_older_refresh_token_ends_the_family(bench) {
        let mut tokens = vec![bench.login().await];
        for _ in 0..31 {
            tokens.push(bench.renew(&tokens.last().unwrap().refresh).await.unwrap());
        }
        assert!(matches!(bench.renew(&tokens[0].refresh).await, Err(Error::Reuse(_))));
        assert!(matches!(bench.renew(&tokens[31].refresh).await, Err(Error::Unknown)));
    }

    async fn a_replaced_refresh_token_ends_the_family(bench) {
        let first = bench.login().await;
        let lost = bench.renew(&first.refresh).await.unwrap();
        let again = bench.renew(&first.refresh).await.unwrap();
        assert!(matches!(bench.renew(&lost.refresh).await, Err(Error::Reuse(_))));
        assert!(matches!(bench.find(&again.access).await, Err(Error::Unknown)));
    }

    async fn a_secret_that_was_never_given_out_changes_nothing(bench) {
        let tokens = bench.login().await;
        let guess = super::RefreshToken::generate(&tokens.session.id);
        assert!(matches!(bench.sessions.renew(&guess, Renewal::default(), None).await, Err(Error::Unknown)));
        bench.use_once(&tokens.access).await.unwrap();
        bench.renew(&tokens.refresh).await.unwrap();
    }

    async fn a_plugin_that_no_longer_vouches_ends_the_family(bench) {
        let tokens = bench.login().await;
        let pending = bench.sessions.begin_renewal(&refresh_token(&tokens.refresh), Renewal::default()).await.unwrap();
        assert_eq!(pending.internal, b"canary-internal");
        // It cannot tell: nothing is spent.
        drop(pending);
        bench.find(&tokens.access).await.unwrap();
        let pending = bench.sessions.begin_renewal(&refresh_token(&tokens.refresh), Renewal::default()).await.unwrap();
        bench.sessions.fail_renewal(pending).await.unwrap();
        assert!(matches!(bench.find(&tokens.access).await, Err(Error::Unknown)));
    }

    async fn another_subject_ends_the_family(bench) {
        let tokens = bench.login().await;
        let pending = bench.sessions.begin_renewal(&refresh_token(&tokens.refresh), Renewal::default()).await.unwrap();
        let told = told(&bench, &tokens.session.plugin, "eve").await;
        assert!(matches!(bench.sessions.finish_renewal(pending, told, None).await, Err(Error::Unknown)));
        assert!(matches!(bench.renew(&tokens.refresh).await, Err(Error::Unknown)));
    }

    async fn what_the_plugin_tells_at_renewal_is_what_counts(bench) {
        let tokens = bench.login().await;
        let pending = bench.sessions.begin_renewal(&refresh_token(&tokens.refresh), Renewal::default()).await.unwrap();
        let newer = "cd".repeat(32);
        let told = Told { groups: vec!["new".to_owned()], ..told(&bench, &newer, "ada-the-subject").await };
        let next = bench.sessions.finish_renewal(pending, told, None).await.unwrap();
        assert_eq!(bench.find(&next.access).await.unwrap().groups, ["new"]);
        // The plugin that vouched first is nothing to it now; the one that vouched last is.
        bench.raise(EpochOf::Digest(tokens.session.plugin.clone())).await;
        bench.find(&next.access).await.unwrap();
        bench.raise(EpochOf::Digest(newer)).await;
        assert!(matches!(bench.find(&next.access).await, Err(Error::Unknown)));
    }

    async fn a_renewal_takes_away_what_the_plugin_takes_away_and_gives_nothing_back(bench) {
        let nets = |text: &str| Some(vec![text.parse().unwrap()]);
        let tokens = bench.login_with(|new| new.addresses = nets("10.0.0.0/8")).await;
        let plugin = tokens.session.plugin.clone();
        let ask = || Renewal { address: Some("10.1.0.1".parse().unwrap()), ..Renewal::default() };
        let mut refresh = tokens.refresh.clone();
        for (ttl, addresses, left, kept) in [
            (Some(1000), nets("10.1.0.0/16"), 1000, "10.1.0.0/16"),
            (Some(5000), nets("0.0.0.0/0"), 1000, "10.1.0.0/16"),
            (None, None, 1000, "10.1.0.0/16"),
        ] {
            let pending = bench.sessions.begin_renewal(&refresh_token(&refresh), ask()).await.unwrap();
            let narrower = Narrower { ttl: ttl.map(Duration::from_secs), addresses, ..Narrower::default() };
            let told = Told { narrower, ..told(&bench, &plugin, "ada-the-subject").await };
            let next = bench.sessions.finish_renewal(pending, told, None).await.unwrap();
            assert_eq!(next.session.absolute_end.since(bench.clock.now()), Duration::from_secs(left));
            assert_eq!(next.session.addresses, nets(kept));
            refresh = next.refresh.clone();
        }
        bench.hand.advance(Duration::from_secs(1000));
        assert!(matches!(bench.sessions.begin_renewal(&refresh_token(&refresh), ask()).await, Err(Error::Unknown)));
    }

    async fn a_plugin_can_make_a_pair_the_last_one(bench) {
        for narrower in [
            Narrower { renewable: false, ..Narrower::default() },
            Narrower { max_uses: Some(2), ..Narrower::default() },
        ] {
            let tokens = bench.login().await;
            let uses = narrower.max_uses;
            let token = refresh_token(&tokens.refresh);
            let pending = bench.sessions.begin_renewal(&token, Renewal::default()).await.unwrap();
            let told = Told { narrower, ..told(&bench, &tokens.session.plugin, "ada-the-subject").await };
            let last = bench.sessions.finish_renewal(pending, told, None).await.unwrap();
            assert!(last.refresh.is_none() && !last.session.renewable);
            assert_eq!(last.session.absolute_end, last.session.expires_at);
            for _ in 0..uses.unwrap_or(5) {
                bench.use_once(&last.access).await.unwrap();
            }
            if uses.is_some() {
                assert!(matches!(bench.use_once(&last.access).await, Err(Error::Unknown)));
            }
            // What bought it is spent.
            assert!(matches!(bench.renew(&tokens.refresh).await, Err(Error::Reuse(_) | Error::Unknown)));
        }
    }

    async fn an_epoch_raised_while_the_plugin_is_asked_wins(bench) {
        let tokens = bench.login().await;
        let pending = bench.sessions.begin_renewal(&refresh_token(&tokens.refresh), Renewal::default()).await.unwrap();
        let told = told(&bench, &tokens.session.plugin, "ada-the-subject").await;
        bench.raise(EpochOf::User(tokens.session.user.clone())).await;
        assert!(matches!(bench.sessions.finish_renewal(pending, told, None).await, Err(Error::Unknown)));
    }

    async fn scope_narrows_and_never_widens(bench) {
        let wide = Scope::parse("read:secrets/kv").unwrap();
        let narrow = Scope::parse("read:secrets/kv/apps").unwrap();
        let tokens = bench.login_with(|new| new.scope = Some(wide.clone())).await;
        let token = refresh_token(&tokens.refresh);
        let wider = Scope::parse("read:secrets").unwrap();
        let refused = bench.sessions.renew(&token, Renewal::default(), Some(wider)).await;
        assert!(matches!(refused, Err(Error::Wider(_))));
        let next = bench.sessions.renew(&token, Renewal::default(), Some(narrow.clone())).await.unwrap();
        assert_eq!(bench.find(&next.access).await.unwrap().scope, Some(narrow));
        let back = bench.sessions.renew(&refresh_token(&next.refresh), Renewal::default(), Some(wide)).await;
        assert!(matches!(back, Err(Error::Wider(_))));
    }

    async fn binding_and_client_hold_for_renewal(bench) {
        let client = UserId::new();
        let of = EpochsOf { client: Some(client.clone()), ..EpochsOf::default() };
        let more = bench.sessions.epochs(&of).await.unwrap();
        let tokens = bench.login_with(|new| {
            new.addresses = Some(vec!["10.0.0.0/8".parse().unwrap()]);
            new.client = Some(client.clone());
            new.epochs = new.epochs.clone().and(more);
        }).await;
        let token = refresh_token(&tokens.refresh);
        let from = |address: &str, client| Renewal { address: Some(address.parse().unwrap()), client };
        let elsewhere = bench.sessions.renew(&token, from("11.0.0.1", Some(client.clone())), None).await;
        assert!(matches!(elsewhere, Err(Error::Address)));
        for other in [None, Some(UserId::new())] {
            assert!(matches!(bench.sessions.renew(&token, from("10.0.0.1", other), None).await, Err(Error::Unknown)));
        }
        bench.sessions.renew(&token, from("10.0.0.1", Some(client)), None).await.unwrap();
    }
}

async fn told(bench: &Bench, plugin: &str, subject: &str) -> Told {
    let of = EpochsOf { digest: Some(plugin.to_owned()), ..EpochsOf::default() };
    Told {
        subject: subject.to_owned(),
        groups: Vec::new(),
        internal: Vec::new(),
        narrower: Narrower::default(),
        plugin: plugin.to_owned(),
        epochs: bench.sessions.epochs(&of).await.unwrap(),
    }
}
