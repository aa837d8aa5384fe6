//! The table of routes, one file a concern.

mod audits;
mod datasets;
mod decisions;
mod deployments;
mod events;
mod features;
mod feedback;
mod inference;
mod keys;
mod lineage;
mod models;
mod observe;
mod overview;
mod page;
mod predict;
mod project;
mod reports;
mod runs;
mod sources;
mod traffic;
mod views;

use crate::route::Route;

/// Every route of the service.
pub(crate) fn all() -> Vec<Route> {
    let concerns = [
        project::routes(),
        events::routes(),
        sources::routes(),
        audits::routes(),
        predict::routes(),
        feedback::routes(),
        features::routes(),
        features::feast::routes(),
        views::routes(),
        models::routes(),
        lineage::routes(),
        deployments::routes(),
        runs::routes(),
        datasets::routes(),
        decisions::routes(),
        keys::routes(),
        traffic::routes(),
        reports::routes(),
        inference::routes(),
        observe::routes(),
        overview::routes(),
    ];
    concerns.into_iter().flatten().collect()
}
