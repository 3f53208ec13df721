//! Small ONNX files, written by hand.

/// A field of a Protocol Buffers message that holds bytes.
pub fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    let mut out = varint(number << 3 | 2);
    out.extend(varint(content.len() as u64));
    out.extend(content);
    out
}

/// A field that holds a number.
pub fn number(field: u64, value: i64) -> Vec<u8> {
    let mut out = varint(field << 3);
    out.extend(varint(value as u64));
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A model in the making.
#[derive(Clone, Default)]
pub struct Model {
    graph: Vec<u8>,
    opset: i64,
}

impl Model {
    pub fn new(opset: i64) -> Self {
        Self { graph: Vec::new(), opset }
    }

    pub fn node(self, op: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        self.node_with(op, inputs, outputs, &[])
    }

    /// A node with settings that are lists of whole numbers.
    pub fn node_with(self, op: &str, inputs: &[&str], outputs: &[&str], settings: &[(&str, &[i64])]) -> Self {
        let list = |value: &[i64]| [value.iter().flat_map(|v| number(8, *v)).collect(), number(20, 7)].concat();
        self.node_of(op, inputs, outputs, settings.iter().map(|(name, value)| (*name, list(value))))
    }

    /// A node with settings that are whole numbers.
    pub fn node_number(self, op: &str, inputs: &[&str], outputs: &[&str], settings: &[(&str, i64)]) -> Self {
        let fields = settings.iter().map(|(name, value)| (*name, [number(3, *value), number(20, 2)].concat()));
        self.node_of(op, inputs, outputs, fields)
    }

    /// A node with settings that are texts.
    pub fn node_text(self, op: &str, inputs: &[&str], outputs: &[&str], settings: &[(&str, &str)]) -> Self {
        let fields = settings.iter().map(|(name, value)| (*name, [bytes(4, value.as_bytes()), number(20, 3)].concat()));
        self.node_of(op, inputs, outputs, fields)
    }

    fn node_of<'a>(
        mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        settings: impl Iterator<Item = (&'a str, Vec<u8>)>,
    ) -> Self {
        let mut node = Vec::new();
        inputs.iter().for_each(|i| node.extend(bytes(1, i.as_bytes())));
        outputs.iter().for_each(|o| node.extend(bytes(2, o.as_bytes())));
        node.extend(bytes(3, format!("the {op}").as_bytes()));
        node.extend(bytes(4, op.as_bytes()));
        for (name, value) in settings {
            node.extend(bytes(5, &[bytes(1, name.as_bytes()), value].concat()));
        }
        self.graph.extend(bytes(1, &node));
        self
    }

    /// A weight of 32-bit floats.
    pub fn weight(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensor(name, dims, &bytes(9, &raw))
    }

    /// A weight of 32-bit floats whose content is written as `fields`.
    pub fn tensor(mut self, name: &str, dims: &[i64], fields: &[u8]) -> Self {
        let mut tensor: Vec<u8> = dims.iter().flat_map(|d| number(1, *d)).collect();
        tensor.extend(number(2, 1));
        tensor.extend(bytes(8, name.as_bytes()));
        tensor.extend(fields);
        self.graph.extend(bytes(5, &tensor));
        self
    }

    /// A constant of whole numbers.
    pub fn ints(mut self, name: &str, values: &[i64]) -> Self {
        let mut tensor = [number(1, values.len() as i64), number(2, 7), bytes(8, name.as_bytes())].concat();
        values.iter().for_each(|v| tensor.extend(number(7, *v)));
        self.graph.extend(bytes(5, &tensor));
        self
    }

    /// A weight that lies in another file.
    pub fn external(self, name: &str, dims: &[i64], location: &str, offset: i64) -> Self {
        let entry =
            |key: &str, value: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
        let fields = [entry("location", location), entry("offset", &offset.to_string()), number(14, 1)].concat();
        self.tensor(name, dims, &fields)
    }

    /// An input of floats; a dimension of 0 may vary.
    pub fn input(self, name: &str, dims: &[i64]) -> Self {
        self.port(11, name, dims)
    }

    /// An output of floats.
    pub fn output(self, name: &str) -> Self {
        self.port(12, name, &[])
    }

    /// An output of floats of these dimensions; one of 0 may vary.
    pub fn output_of(self, name: &str, dims: &[i64]) -> Self {
        self.port(12, name, dims)
    }

    fn port(mut self, field: u64, name: &str, dims: &[i64]) -> Self {
        let shape: Vec<u8> =
            dims.iter().flat_map(|&d| bytes(1, &if d > 0 { number(1, d) } else { bytes(2, b"n") })).collect();
        let mut tensor = number(1, 1);
        if !dims.is_empty() {
            tensor.extend(bytes(2, &shape));
        }
        let kind = bytes(2, &bytes(1, &tensor));
        self.graph.extend(bytes(field, &[bytes(1, name.as_bytes()), kind].concat()));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        [number(1, 8), bytes(7, &self.graph), bytes(8, &number(2, self.opset))].concat()
    }
}
