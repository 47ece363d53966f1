//! `inject`: a template with references in, a file with the values out.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use clap::Args;
use zeroize::Zeroizing;

use super::{
    Failure, With,
    client::Target,
    exit, input, output, process,
    reference::{self, Reader, Reference},
    saved,
};

#[derive(Args, Debug)]
pub struct Inject {
    #[command(flatten)]
    target: Target,
    /// A text with references such as coffer://kv/apps/web/db#pass, or {{ coffer://kv/a b#c }}
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Written whole or not at all, for its owner alone (0600); else to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Nothing is written unless every reference has its value.
pub async fn inject(arguments: Inject) -> Result<(), Failure> {
    let Inject { target, input, output } = arguments;
    let template = input::file(&input)?;
    let named = |failure| match failure {
        Failure::Usage(told) => Failure::Usage(format!("{}: {told}", input.display())),
        other => other,
    };
    let references = reference::find(&template).map_err(named)?;
    match output.as_deref().filter(|path| *path != Path::new("-")) {
        None => output::raw(&filled(target, &template, &references).await?),
        Some(path) => {
            // From here on a signal ends us between two steps only, and writing the file is one.
            let stopped = process::stopped_by()?;
            let filled = tokio::select! {
                filled = filled(target, &template, &references) => filled?,
                code = stopped => return Err(Failure::Quiet(code)),
            };
            let unwritable =
                |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            saved::replace(path, filled.as_bytes()).map_err(unwritable)?;
            let values =
                if references.len() == 1 { "1 value".to_owned() } else { format!("{} values", references.len()) };
            exit::say(&format!("{}: written, with {values}", path.display()));
            Ok(())
        }
    }
}

async fn filled(
    target: Target,
    template: &str,
    references: &[(Range<usize>, Reference)],
) -> Result<Zeroizing<String>, Failure> {
    let with = With { target, ..With::default() };
    let mut reader = Reader::new(&with);
    let (mut filled, mut at) = (Zeroizing::new(String::new()), 0);
    for (place, reference) in references {
        filled.push_str(&template[at..place.start]);
        filled.push_str(&reader.value(reference).await?);
        at = place.end;
    }
    filled.push_str(&template[at..]);
    Ok(filled)
}
