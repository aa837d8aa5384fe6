//! `payments-fraud`: starts Perennial, plays seven weeks of payments against it, tells what came of it.

use std::process::ExitCode;

use anyhow::Result;
use payments_fraud::{MODELS, Report, Told, payments, play};
use player::{Bar, Options, Show, Stage, perform};

const SHOW: Show = Show {
    name: "payments-fraud",
    about: "Seven weeks of card payments, with drift and wrong labels, against a Perennial of their own",
    model: MODELS[0],
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    perform(SHOW, scenario).await
}

/// Play, ask, tell.
async fn scenario(stage: &Stage<'_>) -> Result<()> {
    let client = stage.client()?;
    let bar = Bar::new(payments()?.len())?;
    let figures = play(&client, &Options::default(), |progress| {
        bar.show(progress.done, || {
            let auc = progress.auc.map_or_else(|| "-".to_owned(), |auc| format!("{auc:.3}"));
            format!("{}  AUC of the last 1,000 {auc}", progress.at)
        });
    })
    .await?;
    bar.finish();
    let machine = stage.machine()?;
    let told = Told::read(&client, &MODELS).await?;
    let report = Report::new(&figures, &told, machine);
    println!("\n{}", report.text(&told));
    stage.write_json(&report)
}
