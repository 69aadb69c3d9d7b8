//! `render`: prints the objects that the operator would apply for a manifest, without a cluster.

use crate::api::DockerCoinsStatus;
use crate::cli::yaml::{to_json, to_yaml, without_owner};
use crate::dockercoins::kinds::plan;
use clap::{Args, ValueEnum};

use super::manifest_args::{ManifestArgs, desired, images, title};
use super::{CliError, write_out};

#[derive(Debug, Args)]
pub(super) struct Render {
    #[command(flatten)]
    manifest: ManifestArgs,

    /// The output format.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// YAML documents.
    Yaml,
    /// A JSON List.
    Json,
}

impl Render {
    /// Prints the objects of all resources, or none if one is invalid.
    pub(super) async fn run(self) -> Result<(), CliError> {
        let mut all = self.manifest.read()?;
        self.manifest.place(&mut all, None)?;
        let lookup = self.manifest.lookup()?;
        let nothing_told = DockerCoinsStatus::default();
        let mut objects = Vec::new();
        for coins in &all {
            let desired = desired(coins);
            if desired.suspend {
                eprintln!(
                    "dockercoins-operator: {}: spec.suspend is true: these are what the operator would write once it isn't",
                    title(coins)
                );
            }
            let images = images(coins, &desired, &nothing_told, lookup.as_ref()).await?;
            images.tell(coins);
            objects.extend(plan(&desired, Some(&images.set)).objects());
        }
        objects.iter_mut().for_each(without_owner);
        write_out(&match self.output {
            Output::Yaml => to_yaml(&objects),
            Output::Json => to_json(&objects),
        })
    }
}
