module gosonde.example/layout

go 1.19
