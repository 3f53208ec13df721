//! The report of a study: one HTML file that needs nothing else, with each table as CSV beside it.

use super::{StudyError, StudyFile, StudyOptions};
use crate::data::write_bytes_atomic;
use crate::study::report::{encode_png, utc_now};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{Rgba, RgbaImage};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::PathBuf;

const CSS: &str = include_str!("../report/report.css");
const OWN_CSS: &str = ".pictures{display:grid;gap:10px;align-items:end}.pictures img{width:100%;image-rendering:pixelated}\
.pictures figure{margin:0}.pictures figcaption{font-size:13px;color:var(--soft)}.chart{max-width:900px}";

/// Tables of more rows than this are folded away.
const LONG: usize = 100;

/// A table, in the report and as a file.
pub(super) struct Table {
    /// Over it.
    pub title: String,
    /// Its file beside the report, `along.csv`.
    pub file: &'static str,
    /// What a reader must know of it.
    pub caption: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A picture with what is said under it.
pub(super) struct Shown {
    pub caption: String,
    png: Vec<u8>,
}

impl Shown {
    /// A grey or RGB image in [0, 1], `[channels, height, width]`.
    pub fn image(
        caption: impl Into<String>,
        values: &[f32],
        [channels, height, width]: [usize; 3],
    ) -> Result<Self, StudyError> {
        let plane = height * width;
        let level = |channel: usize, i: usize| {
            let channel = if channels == 3 { channel } else { 0 };
            (values.get(channel * plane + i).copied().unwrap_or(0.0).clamp(0.0, 1.0) * 255.0).round() as u8
        };
        let picture = RgbaImage::from_fn(width as u32, height as u32, |x, y| {
            let i = y as usize * width + x as usize;
            Rgba([level(0, i), level(1, i), level(2, i), 255])
        });
        Ok(Self { caption: caption.into(), png: encode_png(&picture)? })
    }
}

/// A part of the report.
pub(super) enum Section {
    Table(Table),
    /// An SVG.
    Chart {
        title: String,
        svg: String,
        caption: String,
    },
    /// Rows of pictures, as many columns as the first row has.
    Pictures {
        title: String,
        rows: Vec<Vec<Shown>>,
        caption: String,
    },
}

/// All that a report says.
#[derive(Default)]
pub(super) struct Page {
    pub headline: String,
    pub lead: String,
    /// Name, value, detail.
    pub tiles: Vec<[String; 3]>,
    pub notes: Vec<String>,
    pub sections: Vec<Section>,
    /// Where it comes from.
    pub facts: Vec<(String, String)>,
}

impl Page {
    /// Writes the report and its tables; the report's path.
    pub fn write(&self, study: &StudyFile, options: &StudyOptions) -> Result<PathBuf, StudyError> {
        for section in &self.sections {
            if let Section::Table(table) = section {
                write_bytes_atomic(&options.out.join(table.file), table.csv().as_bytes())?;
            }
        }
        let path = options.out.join("report.html");
        write_bytes_atomic(&path, self.html(study, options).as_bytes())?;
        Ok(path)
    }

    fn html(&self, study: &StudyFile, options: &StudyOptions) -> String {
        let mut facts = self.facts.clone();
        facts.extend([
            ("Scale".to_owned(), options.scale.name().to_owned()),
            ("Device".to_owned(), options.device_name.clone()),
            ("Program".to_owned(), format!("Epsiloscope {}", env!("CARGO_PKG_VERSION"))),
            ("Command".to_owned(), options.command.clone()),
            ("Written".to_owned(), utc_now()),
        ]);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                    title { (study.title) }
                    style { (PreEscaped(CSS)) (PreEscaped(OWN_CSS)) }
                }
                body {
                    main {
                        header {
                            p.kicker { "Epsiloscope study: " (study.title) ". After " (study.paper) }
                            h1 { (self.headline) }
                            p.lead { (self.lead) }
                        }
                        section.tiles aria-label="Summary" {
                            @for [name, value, detail] in &self.tiles {
                                .tile { p.name { (name) } p.value { (value) } p.detail { (detail) } }
                            }
                        }
                        section.notes aria-label="Notes" {
                            h2 { "Read this first" }
                            ul { @for note in &self.notes { li { (note) } } }
                        }
                        @for section in &self.sections { section { (section.html()) } }
                        section {
                            h2 { "Where it comes from" }
                            .scroll { table { tbody { @for (name, text) in &facts {
                                tr { th scope="row" { (name) } td.word { (text) } }
                            } } } }
                        }
                    }
                }
            }
        };
        page.into_string()
    }
}

impl Section {
    fn html(&self) -> Markup {
        match self {
            Self::Table(table) => html! {
                h2 { (table.title) }
                @if table.rows.len() > LONG {
                    details { summary { (table.rows.len()) " rows" } (table.html()) }
                } @else { (table.html()) }
                p.caption { (table.caption) " In full in " (table.file) "." }
            },
            Self::Chart { title, svg, caption } => html! {
                h2 { (title) }
                .figure.chart { (PreEscaped(svg)) }
                p.caption { (caption) }
            },
            Self::Pictures { title, rows, caption } => html! {
                h2 { (title) }
                @let columns = rows.first().map_or(1, Vec::len);
                .pictures style={ "grid-template-columns:repeat(" (columns) ",1fr)" } {
                    @for shown in rows.iter().flatten() {
                        figure {
                            img src={ "data:image/png;base64," (STANDARD.encode(&shown.png)) } alt=(shown.caption);
                            figcaption { (shown.caption) }
                        }
                    }
                }
                p.caption { (caption) }
            },
        }
    }
}

impl Table {
    fn html(&self) -> Markup {
        html! {
            .scroll { table {
                thead { tr { @for column in &self.columns { th { (column) } } } }
                tbody { @for row in &self.rows { tr {
                    @for (i, cell) in row.iter().enumerate() {
                        @if i == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                    }
                } } }
            } }
        }
    }

    fn csv(&self) -> String {
        let quoted = |cell: &String| {
            if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
        };
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
        line(&self.columns) + &self.rows.iter().map(line).collect::<String>()
    }
}

/// `0.123 ± 0.045`.
pub(super) fn plus_minus((mean, deviation): (f64, f64), decimals: usize) -> String {
    format!("{mean:.decimals$} ± {deviation:.decimals$}")
}
