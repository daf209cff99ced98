# Sourced by scripts/brokers: a certificate authority made on the spot, and what it signs.
# shellcheck shell=bash disable=SC2154 # its variables are set there
#
# The servers' certificate is for 127.0.0.1 and for nothing else, so that `localhost` is a wrong host name
# that can be tried. For the same purpose there are an expired pair and a second authority.

# key FILE: a private key, in the form that Java reads too.
key() {
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null ||
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null
    chmod 600 "$1"
}

# authority NAME SUBJECT
authority() {
    key "$1.key"
    openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days 3650 -out "$1.crt" \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
}

# signed NAME SUBJECT AUTHORITY USAGE [START END]
signed() {
    key "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    printf '%s\n' "extendedKeyUsage=$4" 'subjectAltName=IP:127.0.0.1' \
        'basicConstraints=critical,CA:FALSE' >"$1.ext"
    # `openssl ca`, since `openssl x509` can't sign what is in the past. It wants a place for its books.
    mkdir -p books
    : >books/index
    printf '[ca]\ndefault_ca=own\n[own]\ndatabase=books/index\nnew_certs_dir=books\npolicy=any\nrand_serial=yes\n[any]\ncommonName=supplied\n' >books/conf
    openssl ca -batch -notext -config books/conf -md sha256 -in "$1.csr" -out "$1.crt" \
        -cert "$3.crt" -keyfile "$3.key" -extfile "$1.ext" \
        -startdate "${5-20200101000000Z}" -enddate "${6-20400101000000Z}" 2>books/log ||
        { cat books/log >&2; fail "openssl could not sign $1"; }
    rm -rf books "$1.csr" "$1.ext"
}

# Makes them all in $certs, once.
make_certificates() {
    [ -f "$certs/done" ] && return
    rm -rf "$certs"
    mkdir -p "$certs"
    (
        cd "$certs" || exit
        authority ca 'Tapline test CA'
        authority other-ca 'Another test CA'
        signed server 127.0.0.1 ca serverAuth
        signed expired-server 127.0.0.1 ca serverAuth 20200101000000Z 20200201000000Z
        signed client "$user" ca clientAuth
        signed expired-client "$user" ca clientAuth 20200101000000Z 20200201000000Z
        signed other-client "$user" other-ca clientAuth
        # Kafka reads a key and its certificate from one file.
        cat server.key server.crt >server.pem
        chmod 600 server.pem
        touch "done"
    )
}
