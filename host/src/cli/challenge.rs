//! Logins that take more than one step: what the server asks for is asked of whoever sits here, or waited for.

use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Failure, client::Client, exit, input};

/// RFC 8628 section 3.5: how much less often one asks from then on.
const SLOWER: Duration = Duration::from_secs(5);
/// What is waited between two questions where the server says nothing (section 3.2 there).
const INTERVAL: u64 = 5;
/// One that is asked again and again for the same thing is not going anywhere.
const STEPS: usize = 16;

/// Goes on with a login until it has ended, one way or the other.
pub async fn settle(client: &Client, begun: Result<Value, Failure>) -> Result<Value, Failure> {
    let mut answered = begun;
    for _ in 0..STEPS {
        let challenge = match &answered {
            Err(failure) => failure.challenge().cloned(),
            Ok(_) => None,
        };
        let Some(challenge) = challenge else { return answered };
        answered = next(client, &challenge).await;
    }
    answered
}

async fn next(client: &Client, challenge: &Value) -> Result<Value, Failure> {
    let text = |name: &str| challenge["details"][name].as_str();
    let member = text("member");
    match challenge["kind"].as_str().unwrap_or_default() {
        "prompt" => {
            if challenge["details"]["wrong"] == true {
                exit::say("That was not right.");
            }
            let member = member.unwrap_or("code");
            let shown = text("message").map_or_else(|| title(member), str::to_owned);
            resume(client, challenge, Some((member, input::hidden(&shown)?))).await
        }
        "redirect" => match (member, text("code")) {
            (None, Some(code)) => {
                exit::say("To go on, open this page in a browser, and see that it shows the same code:");
                exit::say(&format!("  {}", text("url").unwrap_or_default()));
                exit::say(&format!("  {code}"));
                wait(client, challenge).await
            }
            (member, _) => {
                exit::say(text("message").unwrap_or("To go on, open this page in a browser:"));
                exit::say(&format!("  {}", text("url").unwrap_or_default()));
                // Where several want to be asked, the first of them is told already.
                for other in challenge["details"]["organizations"].as_array().into_iter().flatten().skip(1) {
                    exit::say(&format!("  {}", other["url"].as_str().unwrap_or_default()));
                }
                let answer = match member {
                    Some(member) => Some((member, input::hidden(&title(member))?)),
                    None => {
                        input::visible("Press Enter when that is done")?;
                        None
                    }
                };
                resume(client, challenge, answer).await
            }
        },
        "device" => {
            exit::say("To go on, open this page on any device, and enter the code:");
            exit::say(&format!("  {}", text("verification_uri").unwrap_or_default()));
            exit::say(&format!("  {}", text("user_code").unwrap_or_default()));
            wait(client, challenge).await
        }
        _ => Err(Failure::usage("the server asks for a step that this version of coffer does not know")),
    }
}

async fn resume(
    client: &Client,
    challenge: &Value,
    answer: Option<(&str, Zeroizing<String>)>,
) -> Result<Value, Failure> {
    let mut body = json!({"challenge_id": challenge["id"]});
    if let Some((member, answer)) = answer {
        body[member] = answer.as_str().into();
    }
    client.post("auth/token/resume", &body).await
}

/// Asks until somebody has gone on elsewhere, or it has taken too long.
async fn wait(client: &Client, challenge: &Value) -> Result<Value, Failure> {
    let mut interval = Duration::from_secs(challenge["interval"].as_u64().unwrap_or(INTERVAL).max(1));
    loop {
        tokio::time::sleep(interval).await;
        match resume(client, challenge, None).await {
            Err(failure) if failure.kind() == "authorization_pending" => {}
            Err(failure) if failure.kind() == "slow_down" => interval += SLOWER,
            answered => return answered,
        }
    }
}

fn title(member: &str) -> String {
    let mut letters = member.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
