//! Charts as inline SVG: each function gives one `<svg>` with a title, to be put into a page of
//! [`crate::page::document`], whose style gives them their colours.
//!
//! Values that are not finite are left out; everything else lies inside the chart whatever its size.

mod canvas;
mod line;
mod pair;
mod scale;
mod sparkline;
mod steps;
mod time_axis;

pub use line::{Line, LineChart, line};
pub use pair::histogram_pair;
pub use sparkline::sparkline;
pub use steps::{StepsChart, stacked_steps};
