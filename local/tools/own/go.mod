module dockercoins.dev/local/tools/own

go 1.26
