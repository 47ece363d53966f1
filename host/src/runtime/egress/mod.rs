#[derive(Clone, Debug)]
pub struct Egress;
