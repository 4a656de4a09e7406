"""What happens after the last byte: interpret, price, settle, save; the courier."""
