//! By hand: `cargo test --release -p coffer --lib policy::tests::measure -- --ignored --nocapture`.

use super::*;

fn set(count: usize, condition: &str) -> Policies {
    let document = |at| {
        let text = format!(
            "permit (principal in Role::\"team-{}\", action in [Action::\"read\", Action::\"list\"], \
             resource in Resource::\"secrets/kv/team-{}/app-{at}\") {condition};\n",
            at % 50,
            at % 50,
        );
        Document { name: format!("d{at}"), text }
    };
    let (policies, _) = policies();
    policies.publish(Compiled::new(&(0..count).map(document).collect::<Vec<_>>()).unwrap());
    policies
}

fn micros(mut ask: impl FnMut(usize)) -> f64 {
    const TIMES: usize = 5000;
    let clock = Clock::system();
    let start = clock.monotonic();
    (0..TIMES).for_each(&mut ask);
    (clock.monotonic() - start).as_secs_f64() * 1e6 / TIMES as f64
}

#[test]
#[ignore = "measures, asserts nothing"]
fn a_decision() {
    let (user, admin) = (caller(&["user", "team-7"]), caller(&["admin"]));
    for (kind, policies) in
        [("2", set(0, "")), ("500", set(498, "")), ("500, reading the time", set(498, "when { context.time > 0 }"))]
    {
        let own = format!("secrets/kv/users/{}", user.user);
        let ask = |caller: &Caller, path: &str| assert!(policies.allows(caller, A::Read, path));
        let cold = micros(|at| ask(&user, &format!("{own}/cold/{at}")));
        let warm = micros(|_| ask(&user, &format!("{own}/warm")));
        let team = (kind != "2").then(|| {
            let cold = micros(|at| ask(&user, &format!("secrets/kv/team-7/app-7/{at}")));
            (cold, micros(|_| ask(&user, "secrets/kv/team-7/app-7/warm")))
        });
        let admin_cold = micros(|at| ask(&admin, &format!("secrets/kv/a/b/{at}")));
        tracing::subscriber::with_default(tracing_subscriber::fmt().finish(), || {
            tracing::info!(kind, cold, warm, ?team, admin_cold, "µs a decision");
        });
    }
}
