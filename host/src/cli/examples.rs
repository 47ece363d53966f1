//! One example or two for each command, shown below its help. A test reads them as the command line would.

use clap::Command;

/// The command, and what somebody might type.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "",
        "coffer login --username ada\nprintf 'swordfish-47' | coffer secret put kv/apps/web/db pass=-\ncoffer secret get kv/apps/web/db --field pass\ncoffer run kv/apps/web/db -- ./server",
    ),
    (
        "server",
        "coffer server --dev --data-dir coffer-dev --ready-file coffer-dev/ready.json\ncoffer server --config /etc/coffer/coffer.toml",
    ),
    ("init", "coffer init --code-file /var/lib/coffer/init-code --shares 5 --threshold 3 -o json > init.json"),
    ("unseal", "coffer unseal\ncoffer unseal --address https://node-2.internal:8200 < share"),
    ("seal", "coffer seal\ncoffer seal --node"),
    ("status", "coffer status\nuntil coffer status > /dev/null; do sleep 1; done"),
    ("doctor", "coffer doctor --config /etc/coffer/coffer.toml"),
    ("rotate", "coffer rotate"),
    ("rekey", "coffer rekey --shares 5 --threshold 3\ncoffer rekey --nonce 0778b4e9917bdeb3589058dac7c5e8d9"),
    ("generate-root", "coffer generate-root\ncoffer generate-root --nonce 0778b4e9917bdeb3589058dac7c5e8d9"),
    (
        "login",
        "coffer login --address https://coffer.internal:8200 --username ada\ncoffer login --ready-file coffer-dev/ready.json\ncoffer login --method github --device",
    ),
    ("logout", "coffer logout"),
    ("whoami", "coffer whoami\ncoffer whoami --field username"),
    ("secret", "coffer secret list\ncoffer secret get kv/apps/web/db"),
    (
        "secret put",
        "printf 'shop\\nswordfish-47\\n' | coffer secret put kv/apps/web/db user pass\ncoffer secret put kv/apps/web/tls key=@tls.key cert=@tls.crt --ttl 90d\ncoffer secret put kv/apps/web/db pass --merge --if-version 3",
    ),
    (
        "secret get",
        "coffer secret get kv/apps/web/db\ncoffer secret get kv/apps/web/db --field pass\ncoffer secret get kv/apps/web/db --version 2 -o json",
    ),
    ("secret list", "coffer secret list\ncoffer secret list kv/apps/ --recursive"),
    ("secret tree", "coffer secret tree kv/apps"),
    ("secret delete", "coffer secret delete kv/apps/web/db --if-version 3"),
    ("secret undelete", "coffer secret undelete kv/apps/web/db"),
    ("secret history", "coffer secret history kv/apps/web/db"),
    ("secret restore", "coffer secret restore kv/apps/web/db 2"),
    ("secret rollback", "coffer secret rollback kv/apps/web/db"),
    ("secret destroy", "coffer secret destroy kv/apps/web/db 1 2"),
    ("secret purge", "coffer secret purge kv/apps/web/old kv/apps/web/older"),
    (
        "secret metadata",
        "coffer secret metadata kv/apps/web/db\ncoffer secret metadata kv/apps/web/db owner=web --remove ticket",
    ),
    ("secret cp", "coffer secret cp kv/apps/web/db kv/apps/web/db-old\ncoffer secret cp --recursive kv/apps/ kv/copy/"),
    ("secret mv", "coffer secret mv kv/apps/web/db kv/apps/shop/db"),
    ("secret diff", "coffer secret diff kv/apps/web/db\ncoffer secret diff kv/apps/web/db kv/apps/shop/db --show"),
    (
        "run",
        "coffer run kv/apps/web/db -- ./server\ncoffer run --mask URL=kv/apps/web/db#url kv/apps/web/mail -- ./server --port 80\nPASSWORD=coffer://kv/apps/web/db#pass coffer run -- ./server",
    ),
    ("inject", "coffer inject -i app.yml.tmpl -o app.yml"),
    ("user", "coffer user list\ncoffer user create ada --email ada@example.com"),
    ("user list", "coffer user list"),
    ("user show", "coffer user show ada\ncoffer user show"),
    (
        "user create",
        "coffer user create ada --email ada@example.com --role shop\ncoffer user create build --machine --role ci",
    ),
    ("user update", "coffer user update ada --role lead\ncoffer user update ada --disable"),
    ("user password", "coffer user password\ncoffer user password ada"),
    ("user delete", "coffer user delete ada"),
    ("user credential", "coffer user credential list build"),
    ("user credential list", "coffer user credential list build\ncoffer user credential list me --mount totp"),
    (
        "user credential add",
        "echo '{\"label\": \"runner\", \"ttl\": \"90d\"}' | coffer user credential add build --json -\n\
         coffer user credential add ada --mount github --subject 583231",
    ),
    ("user credential remove", "coffer user credential remove build k7Qz2mYv"),
    ("role", "coffer role list"),
    ("role list", "coffer role list"),
    ("role show", "coffer role show shop"),
    ("role put", "coffer role put shop --description 'the people of the web shop'"),
    ("role delete", "coffer role delete shop"),
    ("policy", "coffer policy put shop shop.cedar --dry-run\ncoffer policy explain --user ada read secrets/kv/shop/db"),
    ("policy list", "coffer policy list"),
    ("policy show", "coffer policy show shop > shop.cedar"),
    ("policy put", "coffer policy put shop shop.cedar --dry-run\ncoffer policy put shop shop.cedar --if-version 3"),
    ("policy delete", "coffer policy delete shop"),
    (
        "policy explain",
        "coffer policy explain read secrets/kv/shop/db\ncoffer policy explain --user ada use secrets/transit/orders --verb encrypt\ncoffer policy explain --user build --method clients --from 10.20.3.4 read secrets/kv/ci/key",
    ),
    ("setting", "coffer setting list\ncoffer setting set security sessions.idle=15m"),
    ("setting list", "coffer setting list"),
    ("setting get", "coffer setting get secrets/kv\ncoffer setting get secrets/kv --field state.health"),
    ("setting history", "coffer setting history security"),
    (
        "setting set",
        "coffer setting set secrets/team plugin=kv\ncoffer setting set security sessions.idle=15m --dry-run\ncoffer setting set auth/github --json github.json",
    ),
    ("setting put", "coffer setting put secrets/team --json team.json"),
    ("setting reset", "coffer setting reset secrets/team"),
    ("session", "coffer session list"),
    ("session list", "coffer session list\ncoffer session list --user ada"),
    ("session current", "coffer session current"),
    (
        "session revoke",
        "coffer session revoke 6yuh5hYMfvjLFF\ncoffer session revoke --others\ncoffer session revoke --user ada",
    ),
    ("token", "coffer token create --one-time --scope read:secrets/kv/apps --field access_token"),
    (
        "token create",
        "coffer token create --one-time --scope read:secrets/kv/apps --field access_token\ncoffer token create --ttl 10m --max-uses 5 --from 10.0.0.0/8",
    ),
    ("token introspect", "echo \"$TOKEN\" | coffer token introspect"),
    ("token revoke", "echo \"$TOKEN\" | coffer token revoke"),
    ("token renew", "coffer token renew"),
    ("plugin", "coffer plugin list\ncoffer plugin new greet"),
    ("plugin new", "coffer plugin new greet\ncoffer plugin new door --kind auth"),
    ("plugin build", "coffer plugin build"),
    ("plugin inspect", "coffer plugin inspect greet-0.1.0.wasm"),
    ("plugin test", "coffer plugin test greet-0.1.0.wasm calls.json"),
    ("plugin sign", "coffer plugin sign greet-0.1.0.wasm --key publisher.key"),
    ("plugin install", "coffer plugin install greet-0.1.0.wasm --mount greet"),
    ("plugin list", "coffer plugin list"),
    ("plugin show", "coffer plugin show kv 1.0.0"),
    ("plugin delete", "coffer plugin delete greet 0.1.0"),
    ("plugin top", "coffer plugin top"),
    ("plugin logs", "coffer plugin logs secrets/kv --follow"),
    ("plugin failures", "coffer plugin failures secrets/kv"),
    ("lease", "coffer lease list"),
    ("lease list", "coffer lease list\ncoffer lease list --prefix db --state failing"),
    ("lease show", "coffer lease show LEASE"),
    ("lease renew", "coffer lease renew LEASE --increment 1h"),
    ("lease forget", "coffer lease forget LEASE"),
    ("lease revoke", "coffer lease revoke LEASE\ncoffer lease revoke --prefix db/reader"),
    ("audit", "coffer audit verify /var/lib/coffer/audit.log"),
    ("audit verify", "coffer audit verify /var/lib/coffer/audit.log\ncoffer audit verify audit-1.log audit.log"),
    ("completion", "source <(coffer completion bash)\ncoffer completion fish > ~/.config/fish/completions/coffer.fish"),
];

/// The command line with its examples.
pub fn shown(command: Command) -> Command {
    below(command, "")
}

fn below(command: Command, way: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        let way = format!("{way} {name}").trim().to_owned();
        command.mut_subcommand(name, |inner| below(inner, &way))
    });
    let Some((_, lines)) = EXAMPLES.iter().find(|(known, _)| *known == way) else { return command };
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    let said = command.get_after_help().map(|said| format!("\n{said}")).unwrap_or_default();
    command.after_help(format!("Examples:\n{lines}{said}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::{super::Arguments, *};

    fn ways(command: &Command, way: &str, into: &mut Vec<String>) {
        into.push(way.to_owned());
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            ways(inner, format!("{way} {}", inner.get_name()).trim(), into);
        }
    }

    /// What a shell would hand over of the one `coffer` in a line.
    fn words(line: &str) -> Vec<String> {
        let from = line.find("coffer ").unwrap();
        let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
        for c in line[from..].chars() {
            match (c, quote) {
                ('\'' | '"', None) => (quote, begun) = (Some(c), true),
                (c, Some(open)) if c == open => quote = None,
                ('|' | '>' | '<' | ';' | ')', None) => break,
                (' ', None) => {
                    if begun {
                        words.push(std::mem::take(&mut word));
                    }
                    begun = false;
                }
                (c, _) => {
                    word.push(c);
                    begun = true;
                }
            }
        }
        words.extend(begun.then_some(word));
        words
    }

    #[test]
    fn every_command_has_an_example_and_every_example_is_a_command() {
        let command = Arguments::command();
        let mut all = Vec::new();
        ways(&command, "", &mut all);
        let known: Vec<&str> = EXAMPLES.iter().map(|(way, _)| *way).collect();
        let without: Vec<_> = all.iter().filter(|way| !known.contains(&way.as_str())).collect();
        assert!(without.is_empty(), "no example: {without:?}");
        let gone: Vec<_> = known.iter().filter(|way| !all.iter().any(|one| one == *way)).collect();
        assert!(gone.is_empty(), "no command: {gone:?}");
        for (way, lines) in EXAMPLES {
            for line in lines.lines() {
                let words = words(line);
                let parsed = Arguments::command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                assert!(way.is_empty() || words[1..].join(" ").starts_with(way), "{line} is no {way}");
            }
        }
    }

    #[test]
    fn every_argument_is_explained() {
        fn look(command: &Command, way: &str, into: &mut Vec<String>) {
            for argument in command.get_arguments().filter(|argument| argument.get_help().is_none()) {
                into.push(format!("{way} {}", argument.get_id()));
            }
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                if inner.get_about().is_none() {
                    into.push(format!("{way} {}", inner.get_name()));
                }
                look(inner, &format!("{way} {}", inner.get_name()), into);
            }
        }
        let mut without = Vec::new();
        look(&Arguments::command(), "coffer", &mut without);
        assert!(without.is_empty(), "{without:#?}");
    }

    #[test]
    fn help_shows_the_examples_and_what_was_below_it_before() {
        let mut command = shown(Arguments::command());
        let help = command.render_help().to_string();
        assert!(help.contains("Examples:\n  coffer login") && help.contains("Exit codes:"), "{help}");
        let put = command.find_subcommand_mut("secret").unwrap().find_subcommand_mut("put").unwrap();
        assert!(put.render_help().to_string().contains("kv/apps/web/tls key=@tls.key"));
    }
}
