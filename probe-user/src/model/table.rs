/// x
pub struct Table;
