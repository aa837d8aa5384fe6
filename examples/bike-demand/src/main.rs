//! `bike-demand`: starts Perennial, plays two years of bike rentals against it, tells what came of it.

use std::process::ExitCode;

use anyhow::Result;
use bike_demand::{Baselines, Progress, Report, Told, hours, play};
use player::{Bar, Options, Show, Stage, Story, Traffic, perform};

const SHOW: Show = Show {
    name: "bike-demand",
    about: "Two years of bike rentals, hour by hour, against a Perennial of their own",
    model: "bike-windowed",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    perform(SHOW, scenario).await
}

/// Play, ask, compare, tell.
async fn scenario(stage: &Stage<'_>) -> Result<()> {
    let client = stage.client()?;
    let bar = Bar::new(hours()?.len())?;
    let figures = play(&client, &Options::default(), |progress| show(&bar, &progress)).await?;
    bar.finish();
    let machine = stage.machine()?;
    let baselines = tokio::task::spawn_blocking(Baselines::compute);
    let stories = [Story::read(&client, "bike-raw").await?, Story::read(&client, SHOW.model).await?];
    let traffic = Traffic::read(&client, "bike").await?;
    let told = Told { stories: &stories, traffic: &traffic, url: client.address() };
    let report = Report::new(&figures, told, &baselines.await??, machine);
    println!("\n{}", report.text(&figures, told));
    stage.write_json(&report)
}

fn show(bar: &Bar, progress: &Progress) {
    bar.show(progress.done, || {
        let mae = progress.mae.map_or_else(|| "-".to_owned(), |mae| format!("{mae:.1}"));
        let version = progress.version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        format!("{}  MAE {mae}  version {version}", progress.at)
    });
}
