//! A report as a page.

mod drift;
mod history;
mod performance;

use crate::page::{self, escape};
use crate::spec::Report;
use crate::write;

impl Report {
    /// The report as a page of its own: light and dark, for print too, and without anything from outside.
    pub fn to_html(&self) -> String {
        let body = format!(
            "<main>\n{}{}{}{}{}{}{}{}</main>\n",
            self.header_html(),
            self.verdict_html(),
            drift::section(self),
            performance::section(self),
            history::traffic(self),
            history::rollouts(self),
            history::decisions(self),
            self.notes_html(),
        );
        page::document(&format!("{} – {}", self.name, self.endpoint), "", &body)
    }

    fn header_html(&self) -> String {
        format!(
            "<header>\n<p class=\"eyebrow\">Drift report · project {} · endpoint {}</p>\n<h1>{}</h1>\n\
             <p class=\"lead\"><time datetime=\"{}\">{}</time> UTC, compared with {}</p>\n</header>\n",
            escape(&self.project),
            escape(&self.endpoint),
            escape(&self.name),
            self.from,
            escape(&write::window(self.from, self.to)),
            escape(&self.reference),
        )
    }

    fn verdict_html(&self) -> String {
        let verdict = self.verdict();
        let mut out = format!(
            "<section class=\"verdict {}\" aria-label=\"Did anything change?\">\n\
             <h2>Did anything change? <strong>{}.</strong></h2>\n<p>{}</p>\n",
            verdict.answer.tone().class(),
            verdict.answer.word(),
            escape(&verdict.sentence)
        );
        if !verdict.facts.is_empty() {
            out.push_str("<ul>\n");
            for fact in &verdict.facts {
                out.push_str(&format!("<li>{}</li>\n", escape(fact)));
            }
            out.push_str("</ul>\n");
        }
        out.push_str("</section>\n");
        let of_requests = |n: u64| match self.requests {
            0 => String::new(),
            all => format!("{} of requests", write::part(n, all)),
        };
        let models = self.models.iter().filter(|model| model.share > 0.0).count();
        out.push_str(&page::figures(&[
            ("Requests", write::count(self.requests), String::new()),
            ("Labelled so far", write::count(self.labelled), of_requests(self.labelled)),
            ("Fallback answers", write::count(self.fallbacks), of_requests(self.fallbacks)),
            ("Models answering", models.to_string(), String::new()),
        ]));
        out
    }

    fn notes_html(&self) -> String {
        let mut out = String::new();
        if !self.notes.is_empty() {
            out.push_str("<section>\n<h2>Notes</h2>\n<ul>\n");
            for note in &self.notes {
                out.push_str(&format!("<li>{}</li>\n", escape(note)));
            }
            out.push_str("</ul>\n</section>\n");
        }
        out.push_str(&format!(
            "<footer>Made <time datetime=\"{}\">{}</time> UTC. All times are UTC. The JSON of this report (format {}) \
             has every number.</footer>\n",
            self.at,
            write::instant(self.at),
            self.format_version
        ));
        out
    }
}
