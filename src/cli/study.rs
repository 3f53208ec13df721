//! `epsiloscope study`: the papers' experiments.

use super::progress::note;
use super::train::TrainingDevice;
use crate::study::paper::{self, Scale, StudyOptions};
use crate::study::report::check_writable;
use crate::train::{Control, DataTable, Unit};
use anyhow::bail;
use burn::tensor::{Device, DeviceKind};
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// Arguments of `epsiloscope study`.
#[derive(Clone, Debug, clap::Args)]
pub struct Study {
    /// Which: advu-net (FGSM against U-Nets on electron micrographs) or inverse-fgsm (adversarial samples as augmentation).
    #[arg(value_parser = PossibleValuesParser::new(paper::names()))]
    name: String,
    /// A folder with images and masks (`epsiloscope dataset` says what is found in it), or synthetic:lumbar-ct[:VOLUMES:SEED], a
    /// made-up CT of the lumbar spine with its vertebrae. May be given several times where the study takes several.
    #[arg(long, value_name = "FOLDER|synthetic:lumbar-ct", conflicts_with = "image")]
    data: Vec<PathBuf>,
    /// A stack, in place of a folder.
    #[arg(long, requires = "label")]
    image: Option<PathBuf>,
    /// Its labels.
    #[arg(long, requires = "image")]
    label: Option<PathBuf>,
    /// What the labels' values mean, in the classes of the study: 0=membrane,255=cell, or 0=background,255=foreground.
    #[arg(long)]
    label_map: Option<String>,
    /// What is never parted between training and held-out images: a group (patient or volume), or nothing beyond a slice. Of several
    /// data sets for all, or once for each in their order.
    #[arg(long, value_parser = ["group", "slice"])]
    by: Vec<String>,
    /// Minutes instead of hours: smaller networks and images, fewer of both and of epochs. To see that it runs.
    #[arg(long, conflicts_with = "paper")]
    quick: bool,
    /// The paper's own size, for a GPU.
    #[arg(long)]
    paper: bool,
    /// Epochs of each training, in place of the study's.
    #[arg(long)]
    epochs: Option<usize>,
    /// Seeds, each with trainings of its own, in place of the study's.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=100))]
    seeds: Option<u8>,
    /// Of advu-net: from where on people notice a change, as thresholds.csv that `epsiloscope observer fit --out` writes, or a table
    /// of trials.
    #[arg(long, value_name = "THRESHOLDS.csv")]
    unseen: Option<PathBuf>,
    /// Go on with the study in --out where it stood.
    #[arg(long)]
    resume: bool,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: TrainingDevice,
    /// The folder for report.html, its tables as CSV, and work/ with checkpoints and results of each training.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Study {
    /// Runs the study.
    ///
    /// # Errors
    /// If the data cannot be used, a training diverges, the device fails, or a file cannot be written.
    pub fn run(self) -> anyhow::Result<()> {
        check_writable(&self.out)?;
        let table = DataTable { label_map: self.label_map.clone(), ..DataTable::default() };
        let data = match (&self.image, &self.label) {
            (Some(image), Some(label)) => {
                vec![DataTable { image: Some(image.clone()), label: Some(label.clone()), ..table }]
            }
            _ => self.data.iter().map(|path| DataTable { path: Some(path.clone()), ..table.clone() }).collect(),
        };
        if data.is_empty() {
            bail!("name the data: --data FOLDER, or --image with --label");
        }
        let (device, device_name) = match self.device {
            TrainingDevice::Cpu => (Device::flex(), "the CPU (Flex)"),
            TrainingDevice::Gpu => (Device::wgpu(DeviceKind::DefaultDevice), "the default GPU adapter"),
        };
        let command: Vec<String> = std::env::args().skip(1).filter(|word| word != "--resume").collect();
        let options = StudyOptions {
            data,
            by: self.by.iter().map(|by| if by == "slice" { Unit::Slice } else { Unit::Group }).collect(),
            scale: match (self.quick, self.paper) {
                (true, _) => Scale::Quick,
                (_, true) => Scale::Paper,
                _ => Scale::Cpu,
            },
            epochs: self.epochs,
            seeds: self.seeds.map(usize::from),
            unseen: self.unseen,
            resume: self.resume,
            device,
            device_name: device_name.to_owned(),
            command: format!("epsiloscope {}", command.join(" ")),
            control: Control::default(),
            out: self.out,
        };
        let report = paper::run(&self.name, &options, &mut |line, _| note(&format!("{line}\n")))?;
        println!("{}", report.display());
        Ok(())
    }
}
