//! `retail-repurchase`: starts Perennial, plays a shop's year against it, tells what came of it.

use std::process::ExitCode;

use anyhow::Result;
use player::{Bar, Options, Show, Stage, Story, perform};
use retail_repurchase::{MODEL, Report, Shop, first_labels, play};

const SHOW: Show = Show {
    name: "retail-repurchase",
    about: "A year of a shop's log against a Perennial of its own: who buys again within a week",
    model: MODEL,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    perform(SHOW, scenario).await
}

/// Play, ask, compare, tell.
async fn scenario(stage: &Stage<'_>) -> Result<()> {
    let client = stage.client()?;
    let shop = Shop::read()?;
    let bar = Bar::new(shop.purchases.len())?;
    let figures = play(&client, &Options::default(), &shop, |progress| {
        bar.show(progress.done, || {
            let version = progress.version.map_or_else(|| "none".to_owned(), |version| version.to_string());
            format!("{}  version {version}", progress.at)
        });
    })
    .await?;
    bar.finish();
    let machine = stage.machine()?;
    let story = Story::read(&client, MODEL).await?;
    let report = Report::new(&shop, &figures, &story, first_labels(&client).await?, machine)?;
    println!("\n{}", report.text(&story));
    stage.write_json(&report)
}
