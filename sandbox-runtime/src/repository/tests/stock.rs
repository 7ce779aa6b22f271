//! Our repository and stock `restic`: each reads what the other wrote.
