//! What a sweep found, on paper: the table (CSV), the figure (SVG and PNG), one panel of pictures per ε (PNG) and a
//! self-contained HTML report. The window's exports and the command line call the same functions.

mod bars;
mod campaign;
mod class_panel;
mod comparison;
mod conditions;
mod criterion;
mod csv;
pub mod epsilon;
mod error;
mod figure;
mod folder;
mod html;
mod html_class;
mod look;
mod observed;
mod panel;
mod parts;
mod plot;
mod provenance;
mod psychometric;
mod raster;
mod rounding;
mod visibility;
mod volume;

pub use self::csv::{COLUMNS, MEASURE_COLUMNS, curve_csv, measure_cells, write_curve_csv};
pub use bars::Bars;
pub use campaign::{NamedLine, campaign_chart, page};
pub use class_panel::class_panel;
pub use comparison::{ComparisonTable, comparison_csv, write_comparison_csv};
pub use conditions::Conditions;
pub use criterion::{BrokenInterval, Criterion, ParseCriterionError, Verdict, broken_intervals, verdict, verdicts};
pub use error::ReportError;
pub use figure::{Figure, ThresholdLine, finds, size_words, write_figure};
pub use folder::{ReportFolder, Settings, build_report, check_writable};
pub use html::{Finding, HtmlReport, Picture};
pub use look::{PanelLook, class_values};
pub use observed::Observed;
pub use panel::{PanelCaption, PanelPictures, Tiles, noise_gain, panel};
pub use provenance::{Provenance, utc_now};
pub use psychometric::{AnsweredShare, PsychometricFigure};
pub use raster::{encode_png, rasterise};
pub use rounding::{Saved, Survival, round_and_judge, save_and_judge};
pub use volume::{SavedVolume, VolumeAttack, VolumeRun};
