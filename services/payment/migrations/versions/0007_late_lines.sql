INSERT INTO payments.settlement_lines_state_moves VALUES ('differing', 'matched'), ('accepted', 'matched'), ('accepted', 'differing')
;
