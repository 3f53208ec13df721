//! Models and their cards in words: the same on the command line and in the window.

use super::{About, Activation, ChannelOrder, Head, Layout, ModelCard, SizeRule, Task, ZScore};

/// A name and a value.
type Line = (&'static str, String);

impl About {
    /// What the file holds and costs.
    pub fn description(&self) -> Vec<Line> {
        let [height, width] = self.size;
        let mut lines = Vec::new();
        if !self.facts.format.is_empty() {
            lines.push(("format", self.facts.format.clone()));
        }
        lines.extend(self.inputs.iter().map(|input| ("input", input.clone())));
        lines.extend(self.outputs.iter().map(|output| ("output", output.clone())));
        if !self.operators.is_empty() {
            let operators: Vec<String> =
                self.operators.iter().map(|(name, count)| format!("{name} ×{count}")).collect();
            lines.push(("operators", operators.join(", ")));
        }
        lines.push(("parameters", format!("{} ({})", grouped(self.parameters), bytes(self.weight_bytes))));
        if let Some(flops) = self.flops {
            lines.push(("operations", format!("{} forward at {height} × {width}", operations(flops))));
        }
        lines.push(("memory", format!("about {} for a gradient at {height} × {width}", bytes(self.gradient_bytes))));
        lines
    }
}

/// `1.25 GFLOP`, or millions of a small network.
fn operations(flops: u64) -> String {
    let billions = flops as f64 / 1e9;
    if billions < 0.1 { format!("{:.2} MFLOP", billions * 1e3) } else { format!("{billions:.2} GFLOP") }
}

/// Long lists in parentheses cut to their beginning and a count, for where there is no room for all.
pub fn shortened(text: &str) -> String {
    const SHOWN: usize = 4;
    let (mut short, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('(') {
        let Some((list, behind)) = after.split_once(')') else { break };
        let items: Vec<&str> = list.split(", ").collect();
        let list = match items.len().checked_sub(SHOWN) {
            Some(more) if more > 1 => format!("{}, and {more} more", items[..SHOWN].join(", ")),
            _ => list.to_owned(),
        };
        short += &format!("{before}({list})");
        rest = behind;
    }
    short + rest
}

impl ModelCard {
    /// What the card says.
    pub fn description_lines(&self) -> Vec<Line> {
        let task = match self.task {
            Task::Segmentation => "segmentation",
            Task::Classification => "classification",
        };
        let mut lines = vec![("name", self.name.clone()), ("task", task.to_owned())];
        if !self.made_for.is_empty() {
            lines.push(("made for", self.made_for.clone()));
        }
        if self.network.is_some() {
            lines.push(("network", self.network_words()));
        }
        lines.extend([
            ("preparation", self.preparation()),
            ("sizes", self.size_words()),
            ("head", self.head_words()),
            ("classes", self.class_words()),
        ]);
        if self.task == Task::Segmentation {
            lines.push(("measured", self.class_name(self.positive_class.into()).into_owned()));
        }
        lines
    }

    /// The built-in network, if it is one.
    pub fn network_words(&self) -> String {
        self.network.as_ref().map_or(String::new(), |network| {
            let norm = if network.batch_norm { "batch normalisation" } else { "no normalisation" };
            let up = format!("{:?}", network.upsampling).to_lowercase();
            format!("U-Net, base {}, depth {}, {norm}, {up} up-sampling", network.base, network.depth)
        })
    }

    fn preparation(&self) -> String {
        let input = &self.input;
        let mut words = vec![match self.channels {
            1 => "grey".to_owned(),
            3 if input.order == ChannelOrder::Bgr => "blue, green, red".to_owned(),
            3 => "red, green, blue".to_owned(),
            n => format!("{n} channels"),
        }];
        if let Some([low, high]) = input.window {
            words.push(format!("window {low} to {high}"));
        }
        if let Some([lower, upper]) = input.needed_bounds() {
            words.push(format!("bounds {lower} to {upper}"));
        }
        words.push(format!("scaled to {} to {}", input.range[0], input.range[1]));
        if !input.mean.is_empty() {
            words.push(format!("mean {:?}, standard deviation {:?}", input.mean, input.std));
        }
        words.extend(input.z_score.map(|z| match z {
            ZScore::Image => "z-score of the image".to_owned(),
            ZScore::Channel => "z-score of each channel".to_owned(),
        }));
        if input.layout == Some(Layout::Nhwc) {
            words.push("channels last".to_owned());
        }
        words.join(", ")
    }

    fn size_words(&self) -> String {
        match self.size_rule {
            SizeRule::Any => "any".to_owned(),
            SizeRule::MultipleOf(n) => format!("any, padded to a multiple of {n}"),
            SizeRule::Tile([height, width]) => format!("any, in tiles of {height} × {width}"),
            SizeRule::Resize([height, width]) => format!("any, resized to {height} × {width}"),
        }
    }

    fn head_words(&self) -> String {
        let head = match (self.head, self.output.channel) {
            (Head::Sigmoid, None) => "one logit, sigmoid".to_owned(),
            (Head::Sigmoid, Some(channel)) => format!("output {channel} of several (from 0), sigmoid"),
            (Head::Softmax, _) => "a logit for each class, softmax".to_owned(),
        };
        let ends = match self.output.activation {
            Activation::None => "",
            Activation::Sigmoid => "; the network ends in a sigmoid",
            Activation::Softmax => "; the network ends in a softmax",
        };
        let last = if self.output.layout == Some(Layout::Nhwc) { "; the classes are the last axis" } else { "" };
        head + ends + last
    }

    fn class_words(&self) -> String {
        const SHOWN: usize = 12;
        let names: Vec<_> = (0..self.classes.len().min(SHOWN)).map(|i| self.class_name(i)).collect();
        let more =
            if self.classes.len() > SHOWN { format!(", … ({} in all)", self.classes.len()) } else { String::new() };
        names.join(", ") + &more
    }
}

/// 1234567 → `1 234 567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(" ")
}

fn bytes(n: u64) -> String {
    match n {
        n if n >= 1 << 30 => format!("{:.2} GiB", n as f64 / f64::from(1 << 30)),
        n if n >= 1 << 20 => format!("{:.1} MiB", n as f64 / f64::from(1 << 20)),
        n => format!("{:.1} KiB", n as f64 / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_networks_and_long_lists() {
        assert_eq!(
            (operations(524_288), operations(2_500_000_000)),
            ("0.52 MFLOP".to_owned(), "2.50 GFLOP".to_owned())
        );
        let text = "8 tensors are not used (a, b, c, d, e, f, g, h); 2 are missing (x, y). Save (all) of it";
        let short = "8 tensors are not used (a, b, c, d, and 4 more); 2 are missing (x, y). Save (all) of it";
        assert_eq!(shortened(text), short);
        assert_eq!(shortened("an open ( of a, b, c, d, e, f, g"), "an open ( of a, b, c, d, e, f, g");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 31_037_633].map(grouped), ["0", "999", "1 000", "31 037 633"]);
        assert_eq!([512, 3 << 20, 3 << 29].map(bytes), ["0.5 KiB", "3.0 MiB", "1.50 GiB"]);
    }
}
